"""The features of a pair of conditions: their names and their values."""

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_metrics, matrix

from passband.grid import Axes
from passband.prediction.matrix import features


def test_transfer_features_are_every_metric_the_coverage_back_and_the_doses():
    metrics, information = make_metrics()
    found = features.transfer_features(information, ["flat"])
    of = dict(zip(found.names, np.moveaxis(found.values, -1, 0), strict=True))
    assert {"overlap@flat", "coverage@flat", "transfer_train@flat", "log_dose_test"} <= of.keys()
    n = metrics.sizes["train"]
    assert found.values.shape == (n, n, len(found.names))
    np.testing.assert_array_equal(of["overlap@flat"], information.overlap[0])
    np.testing.assert_array_equal(of["transfer_test@flat"][3], information.transfer_test[0])
    np.testing.assert_array_equal(of["transfer_train@flat"][:, 3], information.transfer_train[0])
    ratio = of["transfer_test@flat"] / of["transfer_train@flat"]
    np.testing.assert_allclose(of["coverage_back@flat"], information.coverage[0] * ratio)
    assert of["log_dose_ratio"][0, 1] == pytest.approx(np.log10(8))


def test_a_specimens_weights_are_its_own_and_the_flat_one():
    _, information = make_metrics()
    names = ["flat", "gold", "gold/0-0.3", "gold2", "gold2/0-0.3"]
    many = xr.concat([information.assign_coords(weight=[name]) for name in names], "weight")
    assert features.weights_of(many, "gold") == names[:3]
    assert features.weights_of(many, "iron") == ["flat"]


def test_coverage_back_is_coverage_the_other_way():
    from passband.analysis import information
    from passband.config import Microscope

    both = Axes.main.conditions({a: v[:2] for a, v in GRID.items()})
    spectra = {"flat": (np.array([0.0]), np.array([0.02]))}
    found = information.metrics(both, both, Microscope(field_px=64), 128, spectra)
    of = features.transfer_features(found, ["flat"])
    back = of.values[..., of.names.index("coverage_back@flat")]
    np.testing.assert_allclose(back, found.coverage[0].values.T, rtol=1e-9)


def test_signs_are_those_of_metrics_under_any_weight():
    of = features.Features(
        np.zeros((1, 1, 4)), ("overlap@gold", "wiener@flat", "transfer_train@flat", "log_dose_test")
    )
    assert of.signs == [1, -1, 0, 1]


def test_distances_become_sets_with_the_doses():
    metrics, information = make_metrics()
    n = metrics.sizes["train"]
    far = np.arange(n * n, dtype=float).reshape(n, n)
    coords = {"specimen": ["gold"], "train": metrics.train.values, "test": metrics.test.values}
    distances = xr.Dataset(
        {
            "spectral": (("specimen", "test", "train"), far.T[None]),
            "holes": (("train", "test"), np.where(far > 3, far, np.nan)),
            "single": (("train",), far[0]),
        },
        coords,
    )
    sets = features.feature_sets(matrix(metrics), information, distances)
    assert list(sets) == ["ctf", "mean", "raw", "id", "spectral"]
    assert sets["spectral"].names[0] == "spectral"
    np.testing.assert_array_equal(sets["spectral"].values[..., 0], far)
    np.testing.assert_array_equal(sets["id"].values[:, 0, 0], np.diag(matrix(metrics).dice.values))
    assert sets["mean"].values.shape == (n, n, 0)
