"""A study and its folder: its files, and its stores when they are first used."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from passband import PassbandError
from passband.config import load
from passband.results import Results, layout, network_batches, published
from passband.storage import datasets, integrity

SMALLEST = load(Path(__file__).parents[1] / "data" / "smallest.yaml")


def store(path, kind, value=1.0):
    datasets.write(xr.Dataset({"dice": ("test", np.full(2, value))}), path, kind, {})


def test_files_of_jobs_are_in_the_folder(tmp_path):
    results = Results(SMALLEST, tmp_path)
    batch = next(network_batches.batches_of(SMALLEST))
    (cell,) = batch.cells
    files = (
        results.weights(batch),
        results.history(batch),
        results.record(batch),
        results.further(cell),
    )
    assert [file.relative_to(tmp_path).parts[0] for file in files] == [
        *("networks", "networks", "records", "store")
    ]
    for file in files:
        assert layout.wildcards_of(file) == batch.wildcards
        assert list(layout.replicas_of(file)) == list(batch.replicas)
    assert results.path(layout.FIGURE, figure="matrix", format="svg") == (
        tmp_path / "figures/matrix.svg"
    )
    log = tmp_path / layout.log(batch.path(layout.JOB_NAMES["train"]))
    assert layout.results_of(log) == tmp_path
    assert not layout.replicas_of(Path("general.safetensors"))


def test_exit_waves_of_a_spectrum_are_all_there_or_none(tmp_path):
    results = Results(SMALLEST, tmp_path)
    files = results.waves("gold", "train")
    assert files == [str(tmp_path / f"waves/gold/train/0000{n}.zarr.zip") for n in (0, 1)]
    Path(files[0]).parent.mkdir(parents=True)
    for file in files:
        assert results.spectrum_structures("gold") == []
        Path(file).touch()
    assert results.spectrum_structures("gold") == [results.structures("gold", "train")]


def test_structures_have_the_files_of_their_sets(tmp_path):
    results = Results(SMALLEST, tmp_path)
    found = results.structures("gold", "train")
    assert found.names == (SMALLEST.study.seed, "gold", "train")
    assert found.microscope == SMALLEST.microscope
    assert list(found.files) == results.waves("gold", "train")
    sets = ["", "en0200.00"]
    size = SMALLEST.study.structures_per_shard
    every = results.structures("gold", "train", sets).sets
    assert {id: list(each.files) for id, each in every.items()} == {
        id: results.waves("gold", "train", [id]) for id in sets
    }
    assert every["en0200.00"].microscope.energy_kev == 200
    for first, shards in ((1, 1), (size, 1), (size + 1, 2)):
        few = results.structures("gold", "train", sets, first=first).sets
        assert [each.files for each in few.values()] == [
            each.files[:shards] for each in every.values()
        ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("table", "has no table of results yet; run the study first"),
        ("ood", "has no ood.zarr yet; run the study first"),
        ("information", "has no information.zarr yet; run the study first"),
        ("prediction", "has no prediction.zarr yet; run the study first"),
    ],
)
def test_a_missing_store_is_one_line_with_the_command_that_makes_it(tmp_path, name, says):
    results = Results(SMALLEST, tmp_path / "smallest")
    with pytest.raises(PassbandError) as caught:
        getattr(results, name)
    assert str(caught.value) == f"{tmp_path}/smallest: the study {says}"


def test_a_store_is_read_when_it_is_first_used_and_once(tmp_path):
    results = Results(SMALLEST, tmp_path)
    store(tmp_path / "ood.zarr", datasets.OOD)
    first = results.ood
    store(tmp_path / "ood.zarr", datasets.OOD, 2.0)
    assert results.ood is first
    assert results.has(layout.OOD)
    assert not results.has(layout.TABLE)
    assert results.read(layout.OOD).dice.values.tolist() == [2.0, 2.0]
    assert list(results.read(layout.OOD, []).data_vars) == []


def test_another_process_opens_the_stores_itself(tmp_path):
    results = Results(SMALLEST, tmp_path)
    store(tmp_path / "ood.zarr", datasets.OOD)
    assert results.ood is not None
    copied = pickle.loads(pickle.dumps(results))
    assert (copied.study, copied.folder) == (SMALLEST, tmp_path)
    assert "ood" not in vars(copied)


def test_a_published_folder_is_found_with_its_study_and_its_table(tmp_path):
    (tmp_path / published.WEIGHTS).touch()
    text = yaml.safe_dump(SMALLEST.written())
    (tmp_path / published.STUDY).write_text(text)
    results = Results.find(tmp_path)
    assert results.is_published
    assert results.study == SMALLEST
    with pytest.raises(PassbandError, match=r"the published folder has no table\.zarr\.zip"):
        assert results.table
    with pytest.raises(PassbandError, match=r"folder has no ood\.zarr; open the network's study$"):
        assert results.ood
    store(tmp_path / published.TABLE, datasets.TABLE)
    assert results.table.dice.values.tolist() == [1.0, 1.0]
    integrity.write_checksums(tmp_path, tmp_path.iterdir())
    assert Results.find(tmp_path).study == SMALLEST
    (tmp_path / published.WEIGHTS).write_text("changed")
    for read in (lambda found: found.study, lambda found: found.table):
        with pytest.raises(PassbandError, match=r"weights\.safetensors is damaged; copy"):
            read(Results.find(tmp_path))


@pytest.mark.slow
def test_results_load_no_numerical_library_until_a_store_is_opened():
    code = "import passband.results, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "passband.results.study_folder" in run.stdout.split()
    heavy = {"xarray", "zarr", "torch", "dask", "pandas", "scipy", "ase", "numba", "safetensors"}
    assert not heavy & set(run.stdout.split())
