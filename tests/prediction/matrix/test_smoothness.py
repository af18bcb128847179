"""How alike neighbours on the grid are, by hand and by loops."""

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_metrics, of_dice

from passband.grid import Axes, Condition
from passband.matrices.of_study import matrices
from passband.prediction.matrix.smoothness import neighbours, smoothness


def matrix(values, grid):
    """Return Dice whose training conditions and test conditions are those of a grid."""
    ids = [condition.id for condition in Axes.main.conditions(grid)]
    sides = {end: Axes.main.coordinates(ids, end) for end in ("train", "test")}
    coords = {"train": ids, "test": ids} | sides["train"] | sides["test"]
    return xr.DataArray(values, coords, ("train", "test"))


def line(number):
    levels = [float(value) for value in range(number)]
    return {"defocus_nm": levels, "cs_um": [1], "aperture_mrad": [10], "dose_e_per_A2": [100]}


def by_loops(M, train, test):
    """Return the smoothness of samples in which each condition is as often as its weight says."""
    values = {end: np.column_stack([M[f"{end}_{a}"] for a in GRID]) for end in ("train", "test")}
    squares = numbers = total = mean = mean_square = 0.0
    D = M.values
    for i in range(len(D)):
        for j in range(D.shape[1]):
            weight = train[i] * test[j]
            total += weight
            mean += weight * D[i, j]
            mean_square += weight * D[i, j] ** 2
            for k, other in enumerate(values["train"]):
                if k > i and (other != values["train"][i]).sum() == 1 and next_to(M, "train", i, k):
                    squares += weight * train[k] * (D[i, j] - D[k, j]) ** 2
                    numbers += weight * train[k]
            for k, other in enumerate(values["test"]):
                if k > j and (other != values["test"][j]).sum() == 1 and next_to(M, "test", j, k):
                    squares += weight * test[k] * (D[i, j] - D[i, k]) ** 2
                    numbers += weight * test[k]
    return 1 - squares / numbers / 2 / (mean_square / total - (mean / total) ** 2)


def next_to(M, end, a, b):
    """Return whether no level of an axis is between two conditions that differ in it alone."""
    for axis in GRID:
        x = M[f"{end}_{axis}"].values
        if x[a] != x[b]:
            levels = np.unique(x).tolist()
            return abs(levels.index(x[a]) - levels.index(x[b])) == 1
    return False


def test_neighbours_differ_in_one_axis_alone():
    metrics, _ = make_metrics()
    (whole,) = matrices(metrics=metrics)
    lines = neighbours(whole, "train", "defocus_nm")
    assert len(lines) == 8
    for each in lines:
        assert metrics.train_defocus_nm.values[each].tolist() == GRID["defocus_nm"]
        for axis in ("cs_um", "aperture_mrad", "dose_e_per_A2"):
            assert len(set(metrics[f"train_{axis}"].values[each])) == 1


def test_a_straight_line_by_hand():
    """Steps are 1 between networks and 0 between tests, and the variance is (n² − 1)/12."""
    n = 9
    M = matrix(np.arange(n)[:, None] + np.zeros(n), line(n))
    assert smoothness(of_dice(M), 0, 0) == pytest.approx([1 - 0.5 * 0.5 / ((n**2 - 1) / 12)])


def test_alternating_dice_is_less_alike_than_any_two_cells():
    M = matrix(np.indices((8, 8)).sum(0) % 2, line(8))
    assert smoothness(of_dice(M), 0, 0)[0] == pytest.approx(1 - 1 / 2 / 0.25)  # each step is 1


def test_smooth_dice_is_near_one_and_noise_near_zero():
    x = np.linspace(0, 1, 60)
    random = np.random.default_rng(0)
    smooth = matrix(np.sin(3 * x)[:, None] + np.cos(2 * x), line(60))
    noise = matrix(random.normal(size=(60, 60)), line(60))
    assert smoothness(of_dice(smooth), 0, 0)[0] > 0.99
    assert abs(smoothness(of_dice(noise), 0, 0)[0]) < 0.06
    both = smooth + smooth.std() * noise
    assert smoothness(of_dice(both), 0, 0)[0] == pytest.approx(0.5, abs=0.05)  # half is noise


@pytest.mark.slow
def test_all_axes_count_and_samples_have_their_weights():
    ids = [condition.id for condition in Axes.main.conditions(GRID)]
    M = matrix(np.random.default_rng(2).random((len(ids), len(ids))), GRID)
    ones = np.ones(len(ids))
    found = smoothness(of_dice(M), 3, 5)
    assert found.shape == (4,)
    assert found[0] == pytest.approx(by_loops(M, ones, ones))
    from passband.analysis.bootstrap import resample

    samples = (resample(len(ids), 3, 5, "smoothness", end) for end in ("train", "test"))
    for value, train, test in zip(found[1:], *samples, strict=True):
        assert value == pytest.approx(by_loops(M, train, test))


def test_unknown_cells_have_no_effect():
    M = matrix(np.random.default_rng(2).random((6, 6)), line(6))
    first = smoothness(of_dice(M[:4]), 0, 0)
    M[4:] = np.nan
    assert smoothness(of_dice(M), 0, 0) == pytest.approx(first)


def test_without_neighbours_or_variance_there_is_no_smoothness():
    points = [Condition(1.0 + k, 5.0 + k, 8.0 + k, 100.0 + k).id for k in range(6)]
    sides = {end: Axes.main.coordinates(points, end) for end in ("train", "test")}
    coords = {"train": points, "test": points} | sides["train"] | sides["test"]
    scattered = xr.DataArray(np.random.default_rng(0).random((6, 6)), coords, ("train", "test"))
    assert np.isnan(smoothness(of_dice(scattered), 2, 0)).all()
    assert np.isnan(smoothness(of_dice(matrix(np.full((5, 5), 0.7), line(5))), 2, 0)).all()
