"""Models that predict Dice: monotonic models are monotonic, and additive models are additive."""

import numpy as np
import pytest

from passband.prediction.matrix import models as predictors


@pytest.mark.parametrize("name", ["additive", "boosted"])
def test_trees_are_monotonic_in_features_with_a_sign(name):
    model = predictors.MEMBERS[name]
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
    a, b, c, d = predictors.MEMBERS["additive"](X, y, [0, 0], 0)(corners)
    assert a + d == pytest.approx(b + c, abs=1e-9)
    a, b, c, d = predictors.MEMBERS["boosted"](X, y, [0, 0], 0)(corners)
    assert a + d - b - c > 0.5


def test_smooth_model_is_smooth_and_stops_where_its_cells_do():
    X = np.linspace(0, 1, 200)[:, None]
    y = 0.2 + 0.5 * X[:, 0] ** 2
    model = predictors.smooth(X, y, [0], 0)
    between = X[:-1] + 0.0025
    np.testing.assert_allclose(model(between), 0.2 + 0.5 * between[:, 0] ** 2, atol=0.01)
    ends = model(np.array([[-9.0], [0.0], [1.0], [9.0]]))
    assert ends[0] == ends[1]
    assert ends[2] == ends[3]
