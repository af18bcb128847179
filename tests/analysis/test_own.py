"""Results of networks under their own training condition, which is no test condition."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from passband.analysis import ood, table
from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.results.stores import load_table
from passband.scores import OUTCOMES, dice
from passband.storage import DamagedError
from passband.storage import records as stored
from passband.storage.records import with_own

TRAIN = [Condition(5 * k, 1.2, 15, 100).id for k in range(3)]
TEST = TRAIN[1:]
TESTED = [Condition.parse(id) for id in TEST]
ATTRS = {"study": "test", "config_digest": "abc"}


def write(path: Path, counts: np.ndarray, test: list[str]) -> None:
    """Write a record of counts (replica, test specimen, test, structure, outcome)."""
    dims = ("replica", "test_specimen", "test", "structure", "outcome")
    record = xr.Dataset(
        {
            "counts": (dims, counts.astype(np.uint32)),
            "val_loss": ("replica", [0.5, 0.4]),
            "best_epoch": ("replica", [1, 2]),
        },
        coords={"replica": [0, 1], "test_specimen": ["gold"], "test": test}
        | {"outcome": list(OUTCOMES)},
    )
    specimen, architecture, condition = path.parts[-4:-1]
    attrs = {"specimen": specimen, "architecture": architecture}
    stored.write({condition: record}, path, ATTRS | attrs)


def records(folder: Path, own: bool) -> tuple[list[table.Cell], np.ndarray]:
    """Write records, and return the cells and the counts under each training condition."""
    random, cells, counts = np.random.default_rng(1), [], []
    for train in TRAIN:
        path = folder / "gold" / "net" / train / "r000-001.zarr.zip"
        path.parent.mkdir(parents=True)
        test = with_own(TEST, train, own)
        values = random.integers(1, 100, (2, 1, len(test), 4, 3))
        write(path, values, test)
        cells.append(table.Cell("gold", "net", train, (0, 1), str(path)))
        counts.append(values[:, :, test.index(train)] if train in test else None)
    return cells, counts


def test_a_record_has_the_training_condition_once():
    assert with_own(TEST, TRAIN[0], test_own=True) == [*TEST, TRAIN[0]]
    assert with_own(TEST, TRAIN[1], test_own=True) == TEST
    assert with_own(TEST, TRAIN[0], test_own=False) == TEST


def test_the_table_has_results_by_network_and_no_further_column(tmp_path):
    cells, counts = records(tmp_path / "records", own=True)
    table.aggregate(
        cells, TESTED, ["gold"], tmp_path / "table.zarr", ATTRS, threads=2, test_own=True
    )
    made = load_table(tmp_path / "table.zarr")
    assert list(made.test.values) == TEST
    assert "own_counts" in made
    found = made.own_counts.isel(specimen=0, architecture=0).transpose("train", "replica", ...)
    np.testing.assert_array_equal(found, np.stack(counts))
    own_dice = made.own_dice.isel(specimen=0, architecture=0).transpose("train", "replica", ...)
    np.testing.assert_allclose(own_dice, dice(np.stack(counts)).mean(-1), rtol=1e-6)
    # Where the training condition is a test condition, both variables have the same results.
    np.testing.assert_array_equal(made.own_counts[:, :, 2], made.counts[:, :, 2, :, :, 1])


@pytest.mark.slow
def test_other_variables_are_those_under_the_own_condition_too(tmp_path):
    cells, _ = records(tmp_path / "records", own=True)
    for cell in cells:
        record = stored.read(cell.path).load()
        area = record.counts.sum("outcome").astype(float).assign_attrs(units="pixels")
        stored.write({cell.train: record.assign(area=area)}, cell.path, record.attrs)
    table.aggregate(cells, TESTED, ["gold"], tmp_path / "table.zarr", ATTRS, test_own=True)
    made = load_table(tmp_path / "table.zarr").load()
    for before in ("", "own_"):
        area = made[f"{before}area"]
        np.testing.assert_array_equal(area, made[f"{before}counts"].sum("outcome"))


@pytest.mark.slow
def test_a_file_of_several_conditions_gives_the_same_table(tmp_path):
    cells, counts = records(tmp_path / "records", own=True)
    parts = {cell.train: stored.read(cell.path) for cell in cells}
    path = tmp_path / "group.zarr.zip"
    stored.write(parts, path, ATTRS | {"specimen": "gold", "architecture": "net"})
    together = [replace(cell, path=str(path)) for cell in cells]
    made = []
    for name, of in (("single", cells), ("together", together)):
        table.aggregate(of, TESTED, ["gold"], tmp_path / f"{name}.zarr", ATTRS, test_own=True)
        made.append(load_table(tmp_path / f"{name}.zarr"))
    xr.testing.assert_equal(*made)
    found = made[1].own_counts.isel(specimen=0, architecture=0).transpose("train", "replica", ...)
    np.testing.assert_array_equal(found, np.stack(counts))


@pytest.mark.slow
def test_records_of_another_setting_are_refused(tmp_path):
    cells, _ = records(tmp_path / "records", own=True)
    with pytest.raises(DamagedError, match="its values of test differ"):
        table.aggregate(cells, TESTED, ["gold"], tmp_path / "table.zarr", ATTRS)


@pytest.mark.parametrize("confidence", [None, 0.95])
def test_the_score_in_distribution_exists_for_every_row(confidence):
    ids = [Condition(5 * k, 1.2, 15, 100).id for k in range(4)]
    dims = ("specimen", "architecture", "test_specimen", "train", "replica", "test", "structure")
    counts = np.random.default_rng(0).integers(1, 100, (1, 1, 1, 4, 2, 4, 3, 3)).astype(float)
    values = {"dice": (dims[:-1], dice(counts.astype(int)).mean(-1))}
    values["val_loss"] = ((*dims[:2], *dims[3:5]), np.full((1, 1, 4, 2), 0.5))
    coords = {"specimen": ["gold"], "architecture": ["net"], "test_specimen": ["gold"]}
    coords |= {"train": ids, "test": ids, "replica": [0, 1], "outcome": list(OUTCOMES)}
    coords |= Axes.main.coordinates(ids, "train") | Axes.main.coordinates(ids, "test")
    whole = xr.Dataset(values | {"counts": ((*dims, "outcome"), counts)}, coords)
    apart = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) / 10
    information = xr.Dataset(
        {
            "shared_capacity": (("weight", "train", "test"), 1 - apart[None]),
            "capacity_train": (("weight", "train"), np.ones((1, 4))),
            "capacity_test": (("weight", "test"), np.ones((1, 4))),
        },
        {"weight": ["flat"], "train": ids, "test": ids},
    )
    own = np.stack([counts[:, :, :, i, :, i] for i in range(4)], 3)
    complete = ood.metrics(matrices(whole), information, confidence)
    part = whole.isel(test=[1, 2, 3])
    without = ood.metrics(matrices(part), information, confidence)
    own_dims = [d for d in (*dims, "outcome") if d != "test"]
    alone = {"own_counts": (own_dims, own)}
    alone["own_dice"] = (own_dims[:-2], dice(own.astype(int)).mean(-1))
    found = ood.metrics(matrices(part.assign(alone)), information, confidence)
    assert np.isnan(without.id.sel(train=ids[0])).all()
    for name in ["id", "gap_model"] + ["id_interval"] * bool(confidence):
        expected = complete[name]
        if "test" in expected.dims:
            expected = expected.sel(test=part.test)
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)
    # Metrics that need no score in distribution stay as they are.
    for name in ("ood", "worst", "dice", "gap_test"):
        np.testing.assert_array_equal(found[name], without[name])
