"""Predictions of held-out cells of the matrix: leaks, recovery and scores."""

import numpy as np
import pytest
from matrices import make_metrics, make_profiles, matrix
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score

from passband.axes import MAIN_AXES
from passband.prediction import gaussian_process
from passband.prediction.matrix import cross_validation, features, matrices
from passband.prediction.matrix.clusters import Clusters
from passband.prediction.matrix.cross_validation import Profiled

pytestmark = pytest.mark.usefixtures("few_folds")


def evaluated(metrics, information, axis, end, Y=None, names=("ctf",)):
    cells = matrix(metrics)
    Y = matrices.targets(cells) if Y is None else Y
    sets = {
        name: values
        for name, values in features.feature_sets(cells, information).items()
        if name in names
    }
    by = {a: cross_validation.labels(cells, a, 0) for a in (axis, cross_validation.CONDITIONS)}
    folds = cross_validation.folds_along(axis, end, by[axis], np.isfinite(Y))
    return Y, [cross_validation.evaluate_fold(fold, Y, sets, by, 0) for fold in folds]


# Folds


@pytest.mark.parametrize("end", cross_validation.SIDES)
def test_folds_leave_out_a_level_where_it_is_said(end):
    metrics, _ = make_metrics()
    cells = matrix(metrics).isel(test=slice(None, None, -1))
    among = np.ones((24, 24), dtype=bool)
    by = cross_validation.labels(cells, "defocus_nm", 0)
    found = cross_validation.folds_along("defocus_nm", end, by, among)
    assert [fold.level for fold in found] == ["5", "15", "25"]
    row, column = (cells[f"{e}_defocus_nm"].values == 15 for e in ("train", "test"))
    expected = {
        "train": np.broadcast_to(row[:, None], (24, 24)),
        "test": np.broadcast_to(column, (24, 24)),
        "both": row[:, None] | column,
    }
    np.testing.assert_array_equal(found[1].held_out, expected[end])


def test_groups_hold_the_same_conditions_at_both_ends():
    metrics, _ = make_metrics()
    cells = matrix(metrics).isel(test=slice(None, None, -1))
    train, test = cross_validation.labels(cells, cross_validation.CONDITIONS, 0)
    np.testing.assert_array_equal(train, test[::-1])
    assert set(np.bincount(train)) == {8}


def test_axes_of_two_levels_are_not_left_out():
    metrics, _ = make_metrics()
    found = cross_validation.folds(matrix(metrics), np.ones((24, 24), dtype=bool), MAIN_AXES, 0)
    assert {fold.axis for fold in found} == {"defocus_nm"}
    assert len(found) == 9


# What is predicted


def test_known_structure_is_recovered_and_beats_the_mean():
    metrics, information = make_metrics(noise=0.01)
    Y, found = evaluated(metrics, information, "conditions", "train", names=("ctf", "mean"))
    y = np.concatenate([Y[one.cells] for one in found])
    stacked, mean = (
        np.concatenate([one.predicted[name, "stacked"] for one in found])
        for name in ("ctf", "mean")
    )
    assert r2_score(y, stacked) > 0.9
    assert r2_score(y, mean) < 0.01


def test_held_out_targets_do_not_leak():
    """The predictions of a fold do not depend on the Dice in its held-out cells."""
    metrics, information = make_metrics(noise=0.01)
    cells = matrix(metrics)
    Y = matrices.targets(cells)
    sets = features.feature_sets(cells, information)
    by = {a: cross_validation.labels(cells, a, 0) for a in ("defocus_nm", "conditions")}
    fold = cross_validation.folds_along("defocus_nm", "both", by["defocus_nm"], np.isfinite(Y))[0]
    other = np.where(
        fold.held_out & np.isfinite(Y), np.random.default_rng(0).uniform(size=Y.shape), Y
    )
    one, two = (
        cross_validation.evaluate_fold(fold, y, {"ctf": sets["ctf"]}, by, 0) for y in (Y, other)
    )
    for key, values in one.predicted.items():
        np.testing.assert_array_equal(values, two.predicted[key])
    np.testing.assert_array_equal(one.bounds["ctf", "stacked"], two.bounds["ctf", "stacked"])


def test_gaussian_process_sees_no_cell_of_held_out_conditions():
    metrics, information = make_metrics(noise=0.01)
    cells = matrix(metrics)
    Y, dice = matrices.targets(cells), cells.dice.values
    ctf = {"ctf": features.feature_sets(cells, information)["ctf"]}
    by = {a: cross_validation.labels(cells, a, 0) for a in ("defocus_nm", "conditions")}
    fold = cross_validation.folds_along("defocus_nm", "both", by["defocus_nm"], np.isfinite(Y))[0]
    (profile,) = make_profiles(metrics).values()
    held = fold.held_out | (np.eye(24, dtype=bool) & (by["defocus_nm"][0] == 5)[:, None])
    other = np.where(held, np.random.default_rng(0).uniform(size=Y.shape), dice)
    one, two = (
        cross_validation.evaluate_fold(
            fold, np.where(np.eye(24), np.nan, d), ctf, by, 0, Profiled(profile, profile, d)
        )
        for d in (dice, other)
    )
    assert {model for _, model in one.predicted} == {
        *("additive", "boosted", "smooth", "stacked", "process", "combined")
    }
    for key, values in one.predicted.items():
        np.testing.assert_array_equal(values, two.predicted[key])
    for key, values in one.bounds.items():
        np.testing.assert_array_equal(values, two.bounds[key])
    # The combination is the weighted mean that the inner folds chose.
    assert 0 <= one.share <= 1
    stacked, process, combined = (
        one.predicted["ctf", m] for m in ("stacked", "process", "combined")
    )
    np.testing.assert_allclose(combined, (1 - one.share) * stacked + one.share * process)


def test_gaussian_process_uses_cells_in_distribution_of_visible_conditions():
    metrics, _ = make_metrics(noise=0.01)
    dice = matrix(metrics).dice.values
    (profile,) = make_profiles(metrics).values()
    visible = np.where(np.eye(24), np.nan, dice)
    visible[3] = visible[:, 5] = np.nan
    changed = dice.copy()
    changed[[3, 5], [3, 5]] = 0.1
    same = Profiled(profile, profile, changed).mean(visible)
    expected = Profiled(profile, profile, dice).mean(visible)
    np.testing.assert_array_equal(same, expected)
    changed[7, 7] = 0.1
    assert np.abs(Profiled(profile, profile, changed).mean(visible) - same).max() > 1e-3


@pytest.mark.parametrize("end", ["train", "both"])
def test_networks_that_are_held_out_have_the_images_of_the_others_unless_tests_are_held_out(end):
    metrics, _ = make_metrics(noise=0.03)
    dice = matrix(metrics).dice.values
    (profile,) = make_profiles(metrics).values()
    rows = np.arange(24) < 4
    held_out = rows[:, None] | ((np.arange(24) >= 20) & (end == "both"))
    visible = np.where(held_out, np.nan, dice)
    known = np.where(np.eye(24), np.nan, visible)
    found, bounds = Profiled(profile, profile, dice).interval(known, np.tile(rows, (24, 1)).T)
    fitted = gaussian_process.fit(visible, profile, profile)
    same, low, high = fitted.interval(profile.isel(condition=rows), None)
    other = fitted.interval(None, profile)[0][rows]
    expected = same if end == "train" else other
    np.testing.assert_allclose(found, expected.ravel())
    if end == "train":
        assert np.abs(same - other).max() > 1e-4
        np.testing.assert_allclose(bounds, np.column_stack([low.ravel(), high.ravel()]))


def test_noise_is_not_predicted():
    metrics, information = make_metrics()
    Y = matrices.targets(matrix(metrics))
    good = np.isfinite(Y)
    Y[good] = np.random.default_rng(0).permutation(Y[good])
    _, found = evaluated(metrics, information, "conditions", "both", Y)
    y = np.concatenate([Y[one.cells] for one in found])
    stacked = np.concatenate([one.predicted["ctf", "stacked"] for one in found])
    assert r2_score(y, stacked) < 0.05


def test_intervals_have_their_coverage_and_widen_with_noise():
    metrics, information = make_metrics(noise=0.03)
    Y, found = evaluated(metrics, information, "conditions", "train")
    y = np.concatenate([Y[one.cells] for one in found])
    low, high = np.concatenate([one.bounds["ctf", "stacked"] for one in found]).T
    assert 0.86 < ((low <= y) & (y <= high)).mean() < 0.96
    assert 0.08 < (high - low).mean() < 0.18  # 2 × 1.645 × 0.03 is 0.099


# Scores


def scored(Y, parts, draws=0, doses=None):
    n, m = Y.shape
    doses = doses or (np.arange(n) % 2, np.arange(m) % 3)
    weights = tuple(
        np.random.default_rng(k).multinomial(s, np.full(s, 1 / s), draws).astype(float)
        for k, s in enumerate((n, m))
    )
    clusters = Clusters(doses, weights)
    return cross_validation.score(parts, Y, clusters), weights, doses


def test_scores_are_scikit_learns_and_scipys():
    random = np.random.default_rng(0)
    Y = random.uniform(size=(6, 7))
    P = Y + random.normal(0, 0.2, Y.shape)
    half = np.arange(42).reshape(6, 7) % 2 == 0
    parts = [
        (cells, P[cells], np.column_stack([P[cells] - 0.2, P[cells] + 0.2]))
        for cells in (half, ~half)
    ]
    found, _, (a, b) = scored(Y, parts)
    found = {name: values[0] for name, values in found.items()}
    assert found["r2"] == pytest.approx(r2_score(Y.ravel(), P.ravel()))
    assert found["mae"] == pytest.approx(mean_absolute_error(Y.ravel(), P.ravel()))
    assert found["rho"] == pytest.approx(spearmanr(Y.ravel(), P.ravel()).statistic)
    assert found["coverage"] == pytest.approx((np.abs(P - Y) <= 0.2).mean())
    assert found["width"] == pytest.approx(0.4)
    left = sum(
        ((Y[np.ix_(a == g, b == h)] - Y[np.ix_(a == g, b == h)].mean()) ** 2).sum()
        for g in range(2)
        for h in range(3)
    )
    assert found["r2_dose"] == pytest.approx(1 - ((Y - P) ** 2).sum() / left)


def test_scores_of_a_bootstrap_sample_are_those_of_its_cells():
    random = np.random.default_rng(1)
    Y = random.uniform(size=(8, 6))
    P = Y + random.normal(0, 0.3, Y.shape)
    every = np.ones(Y.shape, dtype=bool)
    found, weights, _ = scored(Y, [(every, P[every], np.zeros((48, 2)))], draws=5)
    for draw in range(5):
        often = np.outer(weights[0][draw], weights[1][draw]).astype(int).ravel()
        y, p = np.repeat(Y.ravel(), often), np.repeat(P.ravel(), often)
        assert found["r2"][1 + draw] == pytest.approx(r2_score(y, p))
        assert found["mae"][1 + draw] == pytest.approx(mean_absolute_error(y, p))


def test_within_pairs_of_doses_the_effect_of_doses_does_not_count():
    Y = np.add.outer(np.repeat([0.1, 0.6], 4), np.repeat([0.0, 0.2], 3))
    Y = Y + np.random.default_rng(0).normal(0, 0.02, Y.shape)
    P = np.add.outer(np.repeat([0.1, 0.6], 4), np.repeat([0.0, 0.2], 3))
    every = np.ones(Y.shape, dtype=bool)
    doses = np.repeat([1, 2], 4), np.repeat([1, 2], 3)
    found, _, _ = scored(Y, [(every, P[every], np.zeros((48, 2)))], doses=doses)
    assert found["r2"][0] > 0.98
    assert found["r2_dose"][0] < 0.05
    assert np.isnan(found["rho_dose"][0])  # predictions are alike within a pair
