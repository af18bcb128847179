"""The workflow's scripts without Snakemake. Their inputs are the exit waves in tests/data."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scripts
import torch
import xarray as xr

from passband.config import load, validate
from passband.figures import outlines
from passband.learning import networks
from passband.results import Results, layout, network_batches, shown_networks
from passband.results.stores import load_table
from passband.specimens import exit_waves
from passband.storage import datasets, records

ROOT = Path(__file__).parents[2]
STUDY = load(ROOT / "tests" / "data" / "smallest.yaml")
CONFIG = STUDY.model_dump(mode="json")
BATCH = next(network_batches.batches_of(STUDY))
CELL = {name: BATCH.wildcards[name] for name in ("specimen", "architecture", "condition")}


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restored_threads")]


@pytest.fixture
def results(unpacked, tmp_path) -> Path:
    """A copy of the finished study's results, which the test may change, as the study too."""
    copied = Path(shutil.copytree(unpacked, tmp_path / "results"))
    shutil.rmtree(copied / "configuration")
    return copied


def waves(results: Path, split: str) -> list[str]:
    return Results(STUDY, results).waves("gold", split)


def train(results: Path, **changed: object) -> str:
    study = validate(CONFIG | {"training": CONFIG["training"] | {"epochs": 1} | changed})
    return scripts.train(study, results, BATCH)


def evaluate(results: Path, log: Path, test: dict) -> str:
    return scripts.evaluate(validate(CONFIG | {"test_grid": test}), results, BATCH, log)


@pytest.mark.parametrize("name", scripts.NAMES)
def test_scripts_are_short_and_run_nothing_when_imported(name):
    assert callable(scripts.load(name).main)
    text = (scripts.FOLDER / f"{name}.py").read_text()
    assert text.count("\n") <= 48  # a third of it imports
    assert text.endswith('\n\nif "snakemake" in globals():\n    main(snakemake)\n')


def test_every_script_of_a_rule_is_there():
    assert len(scripts.NAMES) == 13
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert all(f'"../scripts/{name}.py"' in rules for name in scripts.NAMES)


def test_jobs_without_work_import_no_heavy_library():
    """What a script imports later is for work. `benchmarks/grouping.py` measures the time."""
    code = "import scripts, sys; list(map(scripts.load, sys.argv[1:])); print(*sys.modules)"
    names = "simulate", "train", "evaluate"
    loaded = subprocess.run(
        [sys.executable, "-c", code, *names],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests/helpers"), *sys.path])},
    ).stdout.split()
    assert "passband.store.networks" in loaded
    assert not {"torch", "abtem", "ase", "scipy", "numba", "lightning"} & {*loaded}


@pytest.fixture
def simulate(results, tmp_path, monkeypatch):
    """Return a function that runs a `simulate` job, and a list of the structures it simulates.

    Every Fourier coefficient of a structure is the structure's index.
    """
    one, made = datasets.read(waves(results, "test")[0], datasets.WAVES).isel(structure=0), []

    def simulated(name, specimen, microscope, seed, split, indices, progress, own):
        assert own is None
        made.append(list(indices))
        parts = [one.assign(spectrum=one.spectrum * 0 + k, structure=k) for k in indices]
        return xr.concat(parts, "structure")

    def run(shard: int, size: int, number: int = 8, seed: int = 7) -> tuple[str, list[int]]:
        """Make a shard of a size; the split has a number of structures."""
        numbers = {"train": 12, "val": 4, "test": number}
        changed = {"structures": numbers, "structures_per_shard": size, "seed": seed}
        wildcards = {"specimen": "gold", "waves": "", "split": "test", "shard": f"{shard:05d}"}
        output = tmp_path / layout.WAVES.format(**wildcards)
        output.unlink(missing_ok=True)
        line = scripts.run(
            "simulate",
            tmp_path / "logs/simulate.log",
            output=[str(output)],
            wildcards=wildcards,
            config=CONFIG | {"study": CONFIG["study"] | changed},
        )
        wanted = list(range(shard * size, min(shard * size + size, number)))
        stored = datasets.read(output, datasets.WAVES)
        assert stored.structure.values.tolist() == wanted
        values = stored.spectrum.transpose("structure", ...).values.reshape(len(wanted), -1)
        assert (values == np.array(wanted)[:, None]).all()
        return line

    monkeypatch.setattr(exit_waves, "simulate", simulated)
    return run, made


def test_exit_waves_are_simulated_once(simulate, tmp_path):
    run, made = simulate
    output = tmp_path / "waves/gold/test/00000.zarr.zip"
    assert f" simulate gold test 00000: 4 exit waves of 1.0 particles in {output}" in run(0, 4)
    words = f" 4 exit waves of 1.0 particles in {output}, made by an earlier job, in "
    assert words in run(0, 4)
    assert made == [[0, 1, 2, 3]]
    run(0, 4, seed=8)
    assert made[1:] == [[0, 1, 2, 3]]


def test_another_size_of_shards_simulates_nothing(simulate):
    run, made = simulate
    for shard in range(3):
        run(shard, 3)
    made.clear()
    for size in (4, 2, 8, 3):
        for shard in range(-(-8 // size)):
            assert ", made by an earlier job, in " in run(shard, size)
    assert made == []


def test_further_structures_of_a_shard_are_the_only_ones_simulated(simulate, tmp_path):
    run, made = simulate
    run(0, 3, number=3)
    run(0, 5, number=5)
    assert made == [[0, 1, 2], [3, 4]]
    (tmp_path / "store/waves/gold/test/00003-00004.zarr.zip").unlink(missing_ok=True)
    (tmp_path / "store/waves/gold/test/00000-00004.zarr.zip").write_bytes(b"damaged")
    run(0, 5, number=5)
    assert made[2:] == [[3, 4]]


def test_networks_are_trained_once(results):
    """New networks are trained only for changed settings. A lost output is linked again."""
    log = results / "logs/train.log"
    assert f": 2 network(s) in {results / BATCH.path(layout.WEIGHTS)} in " in train(results)
    weights, metadata = networks.load(results / BATCH.path(layout.WEIGHTS), CELL)
    history = pd.read_csv(results / BATCH.path(layout.HISTORY))
    assert list(weights) == [0, 1]
    assert list(history.replica) == [0, 1]
    assert history.val_loss[1] == metadata.best[1].val_loss
    assert "replica 0: val_loss " in log.read_text()
    assert "exit waves and masks" in log.read_text()

    assert ", made by an earlier job, in " in train(results)
    again, _ = networks.load(results / BATCH.path(layout.WEIGHTS), CELL)
    assert all(torch.equal(again[1][name], tensor) for name, tensor in weights[1].items())
    pd.testing.assert_frame_equal(pd.read_csv(results / BATCH.path(layout.HISTORY)), history)

    assert "made by an earlier job" not in train(results, learning_rate=1e-5)
    other, _ = networks.load(results / BATCH.path(layout.WEIGHTS), CELL)
    assert not all(torch.equal(other[1][name], tensor) for name, tensor in weights[1].items())


def test_only_new_test_conditions_are_evaluated(results, tmp_path):
    log, axes = results / "logs/evaluate.log", STUDY.test_axes
    shutil.rmtree(results / "store", ignore_errors=True)
    path = results / BATCH.path(layout.RECORD)
    assert "2 network(s) on 4 conditions, 4 of them computed, in " in evaluate(results, log, axes)
    before = records.read(path)
    assert f"2 network(s) on all conditions in {path}, made by an earlier job, in " in evaluate(
        results, log, axes
    )
    np.testing.assert_array_equal(records.read(path).counts, before.counts)
    more = axes | {"defocus_nm": [5.0, 10.0, 20.0]}
    assert "2 network(s) on 6 conditions, 2 of them computed, in " in evaluate(results, log, more)
    after = records.read(path)
    np.testing.assert_array_equal(after.counts.sel(test=before.test), before.counts)
    _, metadata = networks.load(results / BATCH.path(layout.WEIGHTS))
    assert list(after.best_epoch.values) == [metadata.best[r].epoch for r in (0, 1)]


def test_the_table_has_the_records_that_the_layout_names(results, tmp_path):
    paths = [
        str(results / batch.path(layout.RECORD)) for batch in network_batches.batches_of(STUDY)
    ]
    output = tmp_path / "table.zarr"

    def run():
        return scripts.run(
            "aggregate",
            results / "logs/aggregate.log",
            input=paths,
            output=[str(output)],
            config=CONFIG,
        )

    assert f" aggregate: 4 of 4 records in {output} in " in run()
    made = load_table(output)
    before = load_table(results / layout.TABLE)
    np.testing.assert_array_equal(made.counts, before.counts)
    assert f" aggregate: {output}, made by an earlier job, in " in run()


@pytest.mark.parametrize("width", [{}, {"width_cm": 8.5}], ids=["page", "column"])
def test_the_figure_of_examples_shows_the_networks_worst_conditions(
    results, tmp_path, monkeypatch, width
):
    """In the same columns, it shows the networks that were trained under these conditions."""
    output, drawn = tmp_path / "examples.png", []
    draw = outlines.examples
    monkeypatch.setattr(outlines, "examples", lambda *given: drawn.append(given) or draw(*given))
    networks_there = shown_networks.example_networks(STUDY, BATCH.cells[0], lambda record: True)
    line = scripts.run(
        "figure",
        tmp_path / "logs/figures.log",
        input={
            "ood": str(results / layout.OOD),
            "weights": [str(results / BATCH.path(layout.WEIGHTS))],
            "there": [str(results / path) for path in networks_there],
            "waves": waves(results, "test"),
        },
        output=[str(output)],
        wildcards={"figure": "examples"},
        config=CONFIG | {"figures": CONFIG["figures"] | {"dpi": 40} | width},
        params={"settings": {"condition": BATCH.condition}},
    )
    assert f" figure examples: {output} in " in line
    assert output.stat().st_size > 5000
    ((seen, width_cm),) = drawn
    assert width_cm == width.get("width_cm", 17)
    own = datasets.read(results / layout.OOD, datasets.OOD).dice.squeeze().sel(train=seen.train)
    assert set(seen.there) == set(seen.scores) - {seen.train}
    assert str(own.test.values[own.values.argmin()]) in seen.scores
    for predicted, dice in seen.there.values():
        assert predicted.shape[0] == len(dice) == 2


def test_information_has_the_signal_of_the_exit_waves(results, tmp_path):
    output = tmp_path / "information.zarr"
    line = scripts.run(
        "information",
        results / "logs/information.log",
        output=[str(output)],
        config=CONFIG,
    )
    assert f" information: 4 × 4 pairs in {output} in " in line
    made = datasets.read(output, datasets.INFORMATION)
    before = datasets.read(results / layout.INFORMATION, datasets.INFORMATION)
    np.testing.assert_allclose(made.capacity_train, before.capacity_train)
    np.testing.assert_allclose(made.fidelity, before.fidelity)
