"""Damaged files, files with wrong content, and missing results."""

import re
import shutil
import zipfile

import numpy as np
import pytest
import xarray as xr
from runs import MIDDLE, counts
from workplace import Workplace, counted

from passband.analysis import table
from passband.results.stores import load_table
from passband.storage.weights import write as write_tensors

pytestmark = pytest.mark.workflow


def until_done(place: Workplace, *targets: str, study: str) -> tuple[str, int]:
    """Run Snakemake until it succeeds. Return its output and how often it was called."""
    printed = ""
    for calls in range(1, 7):
        status, output = place.ended("--keep-going", *targets, study=study)
        printed += output
        if status == 0:
            return printed, calls
    raise AssertionError(printed)


@pytest.mark.slow
def test_damaged_stores_are_set_aside_and_made_again(copied):
    """A run of Snakemake names at least one damaged store, and makes the stores named before."""
    before = counts(copied)
    results = copied.folder / "results/smallest"
    cells = sorted(path.parent.name for path in (results / "networks").rglob("*.safetensors"))
    networks = [results / f"networks/gold/compact-w4-d2/{c}/r000-001.safetensors" for c in cells]
    records = [results / f"records/gold/compact-w4-d2/{c}/r000-001.zarr.zip" for c in cells]
    shard = results / "waves/gold/test/00000.zarr.zip"
    write_tensors({}, networks[0], {})
    flipped = bytearray(networks[1].read_bytes())
    flipped[-1] ^= 1
    networks[1].write_bytes(flipped)
    networks[2].unlink()
    shutil.copy(networks[3], networks[2])
    with (
        zipfile.ZipFile(shard, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("mask/c.9.0.0", "w", force_zip64=True) as entry,
    ):
        for _ in range(200):
            entry.write(bytes(10**6))
    # A new test condition, so that every evaluation runs, and fails while its old record exists.
    study = copied.study(test_grid={"dose_e_per_A2": [200, 500, 1000]})
    targets = "results/smallest/table.zarr", "results/smallest/ood.zarr"
    printed, calls = until_done(copied, *targets, study=study)
    assert 2 <= calls <= 5
    named = re.findall(
        r"error: evaluate .*: results/smallest/(\S+): (?:not a|its) .*; set aside as", printed
    )
    assert sorted(named) == sorted(str(p.relative_to(results)) for p in (*networks[:3], shard))
    assert "its condition is" in printed
    assert "Traceback" not in printed
    # Undamaged networks and cells of records are not made again.
    assert printed.count("replica 0: val_loss") == 1  # its file in the store is damaged
    assert len(re.findall(r"train .*made by an earlier job", printed)) == 2
    assert printed.count("on 6 conditions, 2 of them computed") == 4
    whole = load_table(results / "table.zarr").counts.load()
    old = whole.sel(test=whole.test_dose_e_per_A2 != 500)
    np.testing.assert_array_equal(old.values, before)

    records[0].write_bytes(records[0].read_bytes()[:-100])
    next((results / "information.zarr/overlap").glob("c*")).unlink()
    printed, calls = until_done(copied, *targets, study=study)
    assert calls == 2
    assert re.search(r"error: aggregate: .*/records/.*: not a whole store .*; set aside", printed)
    assert counted(printed)["information"] == 1  # Snakemake opens this store when it starts
    xr.testing.assert_identical(load_table(results / "table.zarr").counts.load(), whole)


@pytest.mark.slow
def test_a_truncated_exit_wave_is_named_and_nothing_is_made_of_it(copied):
    shard = copied.folder / "results/smallest/waves/gold/val/00000.zarr.zip"
    shard.write_bytes(shard.read_bytes()[:2000])
    shutil.rmtree(copied.folder / "results/smallest/store/networks")  # so that it must be trained
    network = "results/smallest/networks/gold/compact-w4-d2"
    network = f"{network}/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-001.safetensors"
    printed = copied.run(network, "--forcerun", "train", study="studies/smallest.yaml", fails=True)
    assert re.search(r"error: train .*waves/gold/val/00000\.zarr\.zip: not a whole store", printed)
    assert "Traceback" not in printed
    assert not (copied.folder / network).exists()


@pytest.mark.slow
def test_an_exit_wave_of_another_split_is_named(copied):
    waves = copied.folder / "results/smallest/waves/gold"
    shutil.copy(waves / "val/00000.zarr.zip", waves / "train/00001.zarr.zip")
    shutil.rmtree(copied.folder / "results/smallest/store/networks")
    network = "results/smallest/networks/gold/compact-w4-d2"
    network = f"{network}/df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-001.safetensors"
    printed = copied.run(network, "--forcerun", "train", study="studies/smallest.yaml", fails=True)
    assert re.search(r"error: train .*train/00001\.zarr\.zip: its split is 'val', exp", printed)
    assert "Traceback" not in printed


@pytest.mark.slow
def test_a_hole_is_an_error_unless_allowed(copied):
    record = "results/smallest/records/gold/compact-w4-d2"
    record = f"{record}/{MIDDLE}/r000-001.zarr.zip"
    (copied.folder / record).unlink()
    again = copied.jobs("--forcerun", "aggregate", study="studies/smallest.yaml")
    assert again["evaluate"] == 1
    study = copied.study(study={"allow_incomplete": True})
    printed = copied.run(study=study)  # with figures: examples show a different network
    assert "3 of 4 records in" in printed
    whole = load_table(copied.folder / "results/smallest/table.zarr")
    hole = {"train": MIDDLE}
    assert (whole.status.sel(hole) == table.STATUS["missing"]).all()
    assert np.isnan(whole.dice.sel(hole)).all()
    assert int((whole.status == table.STATUS["missing"]).sum()) == 2
