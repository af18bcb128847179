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


@pytest.mark.parametrize("number", [1, 5, 18, 19, 20, 39, 40, 59, 79, 99, 100, 199])
def test_ends_of_an_interval_are_conformal_quantiles(number):
    """A new error is as likely in each of the n + 1 gaps between n others.

    So the upper end is the ⌈0.95 (n + 1)⌉-th error, or the largest. The lower end is its mirror
    image; rounding may make it one error lower, so that the interval is wider.
    """
    errors = np.random.default_rng(number).permutation(number).astype(float)
    low, high = predictors._bounds(errors)
    rank = min(-(-95 * (number + 1) // 100), number)
    assert predictors.COVERAGE == 0.9
    assert high == rank - 1
    assert 0 <= number - rank - low <= 1


def test_intervals_cover_new_errors():
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        low, high = predictors._bounds(rng.normal(size=39))
        new = rng.normal(size=50)
        covered.append((low <= new) & (new <= high))
    assert 0.88 < np.mean(covered) < 0.93  # 36 of 40 gaps


def test_without_errors_an_interval_has_all_values():
    assert predictors._bounds(np.empty(0)).tolist() == [-1.0, 1.0]
    every = predictors.Intervals.of(np.empty(0), np.empty(0))
    assert every(np.array([0.3])).tolist() == [[0.0, 1.0]]
