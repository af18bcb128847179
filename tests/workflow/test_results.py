"""The results of a run of the smallest study."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from runs import FIGURES, MIDDLE
from workplace import SMALLEST, counted

from passband.analysis import table
from passband.config import load, validate
from passband.learning.networks import load as load_weights
from passband.optics import ctf
from passband.results import Results
from passband.results.stores import load_table
from passband.runs import calibration, rates
from passband.runs.counts import count
from passband.runs.job_states import Run
from passband.storage import datasets
from passband.storage.weights import fingerprint

pytestmark = pytest.mark.workflow


@pytest.mark.slow
def test_the_smallest_study_takes_less_than_ten_times_its_minute_of_two_cores(finished):
    """`benchmarks/studies.py` measures the time exactly."""
    assert finished.cpu_seconds < 10 * 2 * 60


@pytest.mark.slow
def test_a_run_leaves_table_metrics_and_figures(finished):
    results = finished.folder / "results/smallest"
    whole = load_table(results / "table.zarr")
    assert dict(whole.sizes) == {
        "specimen": 1,
        "architecture": 1,
        "train": 4,
        "replica": 2,
        "test_specimen": 1,
        "test": 4,
        "structure": 4,
        "outcome": 3,
    }
    assert not np.isnan(whole.counts).any()
    assert (whole.status == table.STATUS["done"]).all()
    assert sorted(set(whole.train_defocus_nm.values)) == [5, 20]
    assert whole.train_defocus_nm.attrs["units"] == "nm"
    assert whole.attrs["study"] == "smallest"
    assert whole.attrs["config_digest"] == load(SMALLEST).digest
    metrics = xr.open_zarr(results / "ood.zarr")
    assert metrics.gap_test.sizes == {
        "specimen": 1,
        "architecture": 1,
        "test_specimen": 1,
        "train": 4,
        "test": 4,
    }
    np.testing.assert_allclose(
        metrics.dice, whole.dice.mean("replica").transpose(*metrics.dice.dims)
    )
    for name in FIGURES:
        for format in ("png", "svg"):
            assert (results / f"figures/{name}.{format}").stat().st_size > 5000


@pytest.mark.slow
def test_every_job_logs_one_line_about_its_result_and_is_benchmarked(finished):
    results = finished.folder / "results/smallest"
    logs = list((results / "logs").rglob("*.log"))
    assert len(logs) == sum(finished.every_job.values())
    for log in logs:
        last = log.read_text().splitlines()[-1]
        assert re.fullmatch(r"\d\d:\d\d:\d\d .+ in \d+\.\d s", last)
        assert last in finished.printed
        assert "deprecated" not in log.read_text()
    assert len(list((results / "benchmarks").rglob("*.tsv"))) == len(logs)


@pytest.mark.slow
def test_status_finds_every_file_of_a_finished_study(finished):
    """If the workflow gave a file another name, `status` would show the file's job as waiting."""
    found = Run(Results(load(SMALLEST), finished.folder / "results/smallest")).read()
    assert found.complete
    assert found.over
    assert found.networks("train") == found.networks("evaluate") == (8, 8)
    assert all(Path(job.log).is_file() for job in found.jobs)
    jobs = finished.every_job
    counted = {stage: len(of_stage) for stage, of_stage in found.stages.items()}
    counted["figure"] = counted.pop("figures")
    assert counted["figure"] == len(FIGURES)
    assert jobs == counted


@pytest.mark.slow
def test_a_finished_study_with_old_logs_is_complete_and_watching_it_ends(copied, passband):
    """This is true even if logs are two hours newer than the outputs of their jobs."""
    for log in (copied.folder / "results/smallest/logs").rglob("*.log"):
        age = time.time() + 7200 if "figures" in log.parts else time.time() - 7200
        os.utime(log, (age, age))
    watched = passband(copied, "status", "--watch", "1", "studies/smallest.yaml")
    assert watched.count("The study is complete") == 1
    assert "failed:" not in watched


@pytest.mark.slow
def test_no_file_is_incomplete(finished):
    results = finished.folder / "results/smallest"
    assert not [path for path in results.rglob(".*") if path.name != ".snakemake_timestamp"]
    assert not list((results / "checkpoints").rglob("*.safetensors"))


@pytest.mark.slow
def test_the_configuration_that_was_read_is_kept_for_jobs(finished):
    study = load(SMALLEST)
    (copy,) = (finished.folder / "results/smallest/configuration").iterdir()
    assert copy.stem == study.digest
    assert validate(json.loads(copy.read_text())) == study


@pytest.mark.slow
def test_the_same_study_run_again_gives_the_same_results(finished, copied):
    """Exit waves, a network and its counts are equal. Conditions do not share results."""
    mine, before = (place.folder / "results/smallest" for place in (copied, finished))
    shard = "waves/gold/val/00000.zarr.zip"
    cell = f"gold/compact-w4-d2/{MIDDLE}/r000-001"
    record, network = f"records/{cell}.zarr.zip", f"networks/{cell}.safetensors"
    shutil.rmtree(mine / "store")
    for name in (shard, record, network):
        (mine / name).unlink()
    printed = copied.run(f"results/smallest/{record}", study="studies/smallest.yaml")
    assert counted(printed) == {"simulate": 1, "train": 1, "evaluate": 1}
    assert "made by an earlier job" not in printed
    one, other = (datasets.read(root / shard, datasets.WAVES) for root in (mine, before))
    assert one.drop_attrs().identical(other.drop_attrs())
    # With the same kind of device and number of threads, all pixels are equal.
    one, other = (fingerprint(load_weights(root / network)[0]) for root in (mine, before))
    assert one == other
    one, other = (datasets.read(root / record, datasets.RECORD) for root in (mine, before))
    np.testing.assert_array_equal(one.counts, other.counts)


@pytest.mark.slow
def test_information_has_the_signal_of_the_studys_own_waves(finished):
    study, results = load(SMALLEST), finished.folder / "results/smallest"
    found = datasets.read(results / "information.zarr", datasets.INFORMATION)
    expected = {"specimen": "gold", "split": "train", "seed": study.study.seed}
    shards = sorted((results / "waves/gold/train").glob("*.zarr.zip"))
    waves = datasets.read_many(shards, datasets.WAVES, "structure", expected, ["spectrum"])
    b = [(s / s[len(s) // 2, len(s) // 2]) for s in waves.spectrum.values[:, 0].astype(complex)]
    b2 = np.mean([np.abs((x - x[::-1, ::-1].conj()) / 2) ** 2 for x in b], 0)
    # The lens of the condition, on the frequencies of the waves.
    sampling, condition = study.microscope.sampling, study.train_conditions[0]
    q, phi = sampling.frequencies()
    # Each ring has its mean power; the width of rings causes the difference of the two integrals.
    ring = np.rint(q * sampling.field_A).astype(int)
    b2 = (np.bincount(ring.ravel(), b2.ravel()) / np.bincount(ring.ravel()))[ring]
    T = ctf.transfer(study.microscope.optics(condition), q, phi)
    inside = (q > 0) & (q <= sampling.cutoff)
    share = np.sum((b2 * T**2)[inside]) / np.sum(b2[inside])
    assert found.transfer_train.sel(weight="gold")[0] == pytest.approx(share, rel=0.1)
    for weight, power in (("gold", b2 * sampling.field_A**2), ("flat", 0.005)):
        s = 4 * condition.dose_e_per_A2 * power * T**2
        bits = np.sum(np.log2(1 + s)[inside]) / 2 / sampling.field_A**2
        assert found.capacity_train.sel(weight=weight)[0] == pytest.approx(bits, rel=0.03)


@pytest.mark.slow
def test_a_plan_predicts_jobs_files_bytes_and_hours(finished):
    study = load(SMALLEST)
    counted = count(study)
    assert counted.jobs == finished.every_job
    found = calibration.calibrate(study, 5)
    files = [path for path in (finished.folder / "results/smallest").rglob("*") if path.is_file()]
    assert counted.files == pytest.approx(len(files), rel=0.1)
    # A second name of a file needs no space.
    sizes = {path.stat().st_ino: path.stat().st_size for path in files}
    assert found.sizes.total(study) == pytest.approx(sum(sizes.values()), rel=0.2)
    # Other programs run during the five seconds of calibration: only the order of magnitude.
    seconds = rates.seconds_by_rule(study, found.speeds)
    del seconds["starting"]  # the jobs of this run were forks
    assert 1 / 10 < sum(seconds.values()) / finished.cpu_seconds < 10
