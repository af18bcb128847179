"""Metrics of transfer functions of the explorer, and what they are called."""

import numpy as np
import pytest
import xarray as xr
from explored import large_results, large_study

from passband import PassbandError
from passband.matrices.of_study import matrices
from passband.reports.explorer import explorer, transfer_metrics
from passband.reports.explorer.metric_names import labels
from passband.reports.explorer.sides import Sides


@pytest.fixture(scope="module")
def matrix():
    metrics, table = large_results(large_study((2, 1, 1, 2), (2, 1, 1, 2)))
    (found,) = matrices(table, metrics)
    return found


@pytest.fixture
def information(matrix):
    """A store with a metric of each kind, a band, and what is no metric of conditions."""
    rng = np.random.default_rng(0)
    coords = {"weight": ["flat", "gold", "gold/0.2-"], "train": matrix.rows, "test": matrix.columns}
    coords = {name: list(values) for name, values in coords.items()}
    dims = ("weight", "train", "test")
    lens = np.repeat(np.repeat(rng.uniform(size=(3, 2, 2)), 2, 1), 2, 2)
    variables = {
        "capacity_train": (dims[:2], rng.uniform(size=(3, 4)), {"units": "bits/Å²"}),
        "overlap": (dims, lens, {"long_name": "similarity", "units": "1"}),
        "mine": (dims, rng.uniform(size=(3, 4, 4))),
        "note": (("weight",), np.zeros(3)),
    }
    return xr.Dataset(variables, coords)


def test_every_metric_of_the_store_is_on_the_page_with_the_fewest_numbers(matrix, information):
    blocks = explorer.Blocks()
    found = transfer_metrics.stored(information, matrix, Sides.of(matrix), blocks)
    assert (found["weights"], found["left_out"]) == (["flat", "gold"], [])
    assert {name: each[0]["shape"] for name, each in found["metrics"].items()} == {
        "capacity_train": [4, 1],
        "overlap": [2, 2],
        "mine": [4, 4],
    }
    assert all(len(each) == 2 for each in found["metrics"].values())


def test_the_order_of_the_store_s_conditions_does_not_matter(matrix, information):
    turned = information.isel(train=[2, 0, 3, 1], test=[1, 0, 3, 2])
    one, other = explorer.Blocks(), explorer.Blocks()
    sides = Sides.of(matrix)
    expected = transfer_metrics.stored(information, matrix, sides, one)
    assert transfer_metrics.stored(turned, matrix, sides, other) == expected
    assert one.texts == other.texts


def test_metrics_of_most_numbers_are_left_out_of_a_large_page(matrix, information, monkeypatch):
    monkeypatch.setattr(transfer_metrics, "_BYTES", 2 * 2 * (4 + 4))
    found = transfer_metrics.stored(information, matrix, Sides.of(matrix), explorer.Blocks())
    assert found["left_out"] == ["mine"]
    assert [*found["metrics"]] == ["capacity_train", "overlap"]


def test_a_study_without_the_store_has_no_metrics(matrix):
    found = transfer_metrics.stored(None, matrix, Sides.of(matrix), explorer.Blocks())
    assert found == {"weights": [], "metrics": {}, "left_out": []}
    assert "overlap" not in labels(matrix.metrics, None, [])


def test_a_store_without_one_of_the_conditions_is_named(matrix, information):
    fewer = information.isel(test=[0, 1, 2])
    with pytest.raises(PassbandError, match=r"have no test = df\+0060\S+, which the OOD"):
        transfer_metrics.stored(fewer, matrix, Sides.of(matrix), explorer.Blocks())


def test_labels_are_those_of_the_package_of_the_store_or_names(matrix, information):
    names = ["capacity_train", "overlap", "mine"]
    found = labels(matrix.metrics, information, names)
    assert [*found][-3:] == ["overlap", "mine", "capacity_train"]  # of two conditions first
    assert found["overlap"] == {
        "label": "overlap σ",
        "sentence": "similarity",
        "heading": "Transfer functions",
        "signed": False,
    }
    assert found["capacity_train"]["label"] == "capacity C of the training condition [bits/Å²]"
    assert found["mine"]["label"] == "mine"
    information.mine.attrs["label"] = "my likeness"
    assert labels(matrix.metrics, information, names)["mine"]["label"] == "my likeness"
