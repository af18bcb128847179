"""Published scalars and trees: names and values of features, monotonic and additive models."""

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_metrics

from findings.twelve_thousand import rivals
from passband.grid import Axes


def test_transfer_features_are_every_metric_the_coverage_back_and_the_doses():
    metrics, information = make_metrics()
    found = rivals.transfer_features(information, ["flat"])
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
    assert rivals.weights_of(many, "gold") == names[:3]
    assert rivals.weights_of(many, "iron") == ["flat"]


def test_coverage_back_is_coverage_the_other_way():
    from passband.analysis import information
    from passband.config import Microscope

    both = Axes.main.conditions({a: v[:2] for a, v in GRID.items()})
    spectra = {"flat": (np.array([0.0]), np.array([0.02]))}
    found = information.metrics(both, both, Microscope(field_px=64), spectra)
    of = rivals.transfer_features(found, ["flat"])
    back = of.values[..., of.names.index("coverage_back@flat")]
    np.testing.assert_allclose(back, found.coverage[0].values.T, rtol=1e-9)


def test_signs_are_those_of_metrics_under_any_weight():
    of = rivals.Features(
        np.zeros((1, 1, 4)), ("overlap@gold", "wiener@flat", "transfer_train@flat", "log_dose_test")
    )
    assert of.signs == [1, -1, 0, 1]


@pytest.mark.parametrize("name", ["additive", "boosted"])
def test_trees_are_monotonic_in_features_with_a_sign(name):
    model = rivals.MEMBERS[name]
    random = np.random.default_rng(0)
    X = random.uniform(size=(400, 2))
    y = np.sin(9 * X[:, 0]) / 5 + X[:, 1] / 2
    free, held = (model(X, y, signs, 0) for signs in ([0, 0], [1, -1]))
    line = np.column_stack([np.linspace(0, 1, 50), np.full(50, 0.5)])
    assert np.diff(free(line)).min() < -0.01
    assert np.diff(held(line)).min() >= -1e-12
    assert np.diff(held(line[:, ::-1])).max() <= 1e-12


def test_additive_model_has_no_interactions():
    random = np.random.default_rng(0)
    X = random.uniform(size=(600, 2))
    y = (X[:, 0] > 0.5) * (X[:, 1] > 0.5) * 0.8
    corners = np.array([[0.2, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.8]])
    a, b, c, d = rivals.MEMBERS["additive"](X, y, [0, 0], 0)(corners)
    assert a + d == pytest.approx(b + c, abs=1e-9)
    a, b, c, d = rivals.MEMBERS["boosted"](X, y, [0, 0], 0)(corners)
    assert a + d - b - c > 0.5
