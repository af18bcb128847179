"""The bytes of a study's files. tests/workflow compares them with a real run."""

from pathlib import Path

import numpy as np
import pytest
import required
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from passband.config import Study, load, validate
from passband.learning import networks
from passband.results import Results
from passband.runs import file_sizes, study_jobs
from passband.runs.counts import count
from passband.runs.file_sizes import FileSizes
from passband.specimens import exit_waves
from passband.storage import datasets

ROOT = Path(__file__).parents[2]
SMALLEST = load(ROOT / "tests" / "data" / "smallest.yaml")
SIZES = FileSizes(
    structure={"gold": 5e4, "silver": 7e4},
    shard=1e4,
    weights={"compact-w4-d2": 3e4, "compact-w8-d2": 9e4},
    image=6.0,
    record=1e4,
)


def changed(**blocks) -> Study:
    """Return the smallest study with changed keys."""
    given = SMALLEST.model_dump()
    for block, keys in blocks.items():
        given[block] |= keys
    return validate(given)


@pytest.mark.slow
@settings(deadline=None)
@given(
    replicas=st.integers(1, 5),
    together=st.integers(1, 3),
    conditions=st.integers(1, 5),
    structures=st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(1, 9)),
    shard=st.integers(1, 9),
)
def test_the_total_is_the_sum_over_the_jobs_of_the_study(
    replicas, together, conditions, structures, shard
):
    train, val, test = structures
    study = changed(
        study={
            "replicas": replicas,
            "replicas_per_job": min(together, replicas),
            "conditions_per_job": conditions,
            "structures": {"train": train, "val": val, "test": test},
            "structures_per_shard": shard,
        },
        specimens={
            "silver": SMALLEST.specimens["gold"].model_dump() | {"material": "Ag", "trained": False}
        },
        training={"architectures": ["compact-w4-d2", "compact-w8-d2"]},
    )
    total = (train + val + test) * SIZES.structure["gold"] + test * SIZES.structure["silver"]
    jobs = [job for job in study_jobs.jobs(study) if not job.on_request]
    tests = len(study.specimens) * study.test_number
    for job in jobs:
        total += file_sizes._JOB
        if job.rule == "simulate":
            total += SIZES.shard
        if job.rule == "train":
            weights = SIZES.weights[job.cells[0].architecture]
            total += job.networks * weights
        if job.rule == "evaluate":
            total += SIZES.record + 2 * job.networks * tests * test * SIZES.image
    total += count(study).trainings * file_sizes._TRAINING
    total += count(study).cells * tests * file_sizes._PAIR
    total += 64**2 * file_sizes._FIGURES + file_sizes._REST
    assert SIZES.total(study) == pytest.approx(total)


@pytest.mark.slow
def test_a_shard_of_more_structures_is_as_large_as_a_part_of_it_says(tmp_path):
    """To within 10%: the particles of structures differ."""
    gold = SMALLEST.specimens["gold"]
    waves = exit_waves.simulate("gold", gold, SMALLEST.microscope, 1, "test", range(8))
    found = file_sizes.measured(SMALLEST, waves.isel(structure=slice(3)))
    structure = found.structure["gold"]
    rest = found.shard
    datasets.write(waves, tmp_path / "a.zarr.zip", datasets.WAVES, {}, {"structure": 1})
    written = (tmp_path / "a.zarr.zip").stat().st_size
    assert 8 * structure + rest == pytest.approx(written, rel=0.1)


def test_one_structure_is_a_whole_file():
    waves = xr.Dataset({"mask": (("structure", "x"), np.ones((1, 9)))})
    waves = waves.assign_attrs(specimen="gold")
    found = file_sizes.measured(SMALLEST, waves)
    assert found.structure["gold"] > 1000
    assert found.shard == 0


def test_the_shards_of_other_specimens_are_compressed_by_as_much():
    frozen = {"thermal": {"temperature_K": 300, "configurations": 2}}
    study = changed(specimens={"silver": SMALLEST.specimens["gold"].model_dump() | frozen})
    waves = exit_waves.simulate("gold", study.specimens["gold"], study.microscope, 1, "test", [0])
    found = file_sizes.measured(study, waves)
    most = file_sizes.at_most(study)
    assert found.structure["gold"] < most.structure["gold"]
    shares = [found.structure[name] / most.structure[name] for name in ("gold", "silver")]
    assert shares[0] == pytest.approx(shares[1])


def test_weights_and_uncompressed_waves_are_those_of_the_study():
    study = validate(
        {
            "microscope": {"field_px": 112},
            "specimens": {"a": {}, "b": {"thermal": {"temperature_K": 300, "configurations": 2}}},
            "training": {"architectures": ["compact-w4-d2", "compact-w8-d2"]},
        }
    )
    found = file_sizes.at_most(study)
    # Frequencies up to a third of the sampling: −37 … 37.
    assert found.structure == {n: k * 8 * 75**2 + 3 * 112**2 for n, k in (("a", 1), ("b", 2))}
    for name, size in found.weights.items():
        parameters = sum(4 * p.numel() for p in networks.build(name).parameters())
        # A network's state also has the running means of its normalisation.
        assert parameters < size < 1.03 * parameters


def test_the_record_that_is_measured_is_small_also_for_many_test_conditions(monkeypatch):
    sizes = []
    write = datasets.write
    monkeypatch.setattr(
        datasets,
        "write",
        lambda d, *args, **attrs: (sizes.append(d.counts.size), write(d, *args, **attrs)),
    )
    study = changed(
        study={"structures": {"train": 2, "val": 2, "test": 10_000}},
        test_grid={"defocus_nm": {"start": 0, "stop": 19.9, "num": 200}},
    )
    image, _ = file_sizes._of_record(study)
    assert max(sizes) <= 1_100_000
    # Three counts, of each of which at most two of four bytes are not 0.
    assert 4 < image < 7


@pytest.mark.install
def test_the_total_of_the_demo_is_that_of_its_files():
    """To within 20%. The figures and pages have a quarter of the bytes, and are not measured."""
    folder = ROOT / "results" / "demo"
    if not (folder / "report.html").exists():
        required.refuse("DEMO", "results/demo is not finished; run make demo")
    study = Results.find(folder).study
    first = next(iter(study.specimens))
    waves = exit_waves.simulate(
        first, study.specimens[first], study.microscope, study.study.seed, "test", [0, 1]
    )
    files = {path.stat().st_ino: path for path in folder.rglob("*") if path.is_file()}
    written = sum(path.stat().st_size for path in files.values())
    assert file_sizes.measured(study, waves).total(study) == pytest.approx(written, rel=0.2)
    assert count(study).files == pytest.approx(
        sum(path.is_file() for path in folder.rglob("*")), rel=0.1
    )
