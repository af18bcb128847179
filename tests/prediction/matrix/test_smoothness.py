"""Steps of Dice on the grid compared with the noise of Dice, and monotonicity along metrics."""

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_metrics, make_table
from scipy.stats import spearmanr

from passband.analysis.groups import GROUP
from passband.prediction.matrix import matrices, smoothness

LINE = {"defocus_nm": [0, 10, 40], "cs_um": [1], "aperture_mrad": [10], "dose_e_per_A2": [100]}


def steps(M, grid=LINE, **options):
    return smoothness.steps(make_table(grid, M, **options)).squeeze()


def test_neighbours_differ_in_one_axis_alone():
    metrics, _ = make_metrics()
    lines = smoothness.neighbours(metrics, "train", "defocus_nm")
    assert len(lines) == 8
    for line in lines:
        assert metrics.train_defocus_nm.values[line].tolist() == GRID["defocus_nm"]
        for axis in ("cs_um", "aperture_mrad", "dose_e_per_A2"):
            assert len(set(metrics[f"train_{axis}"].values[line])) == 1


def test_steps_and_bends_by_hand():
    M = np.array([[0.1, 0.2, 0.5], [0.3, 0.3, 0.6], [0.9, 0.1, 0.5]])
    found = steps(M).sel(along="defocus_nm")
    rows, columns = np.abs(np.diff(M, axis=0)), np.abs(np.diff(M, axis=1))
    assert found.step.sel(step_end="train") == pytest.approx(rows.mean(), abs=1e-5)
    assert found.step.sel(step_end="test") == pytest.approx(columns.mean(), abs=1e-5)
    assert found.step_largest.sel(step_end="train") == pytest.approx(0.6, abs=1e-5)
    assert found.steps.values.tolist() == [6, 6]
    bend = np.abs(M[1] - (0.75 * M[0] + 0.25 * M[2]))  # 10 nm is a quarter of the way
    assert found.bend.sel(step_end="train") == pytest.approx(bend.mean(), abs=1e-5)
    assert np.isnan(steps(M).step.sel(along="cs_um")).all()


def test_a_straight_line_does_not_bend():
    M = np.add.outer([0.1, 0.2, 0.5], [0.2, 0.3, 0.1])
    found = steps(M).sel(along="defocus_nm", step_end="train")
    assert found.bend == pytest.approx(0, abs=1e-5)
    assert found.step == pytest.approx(0.2, abs=1e-5)


def test_steps_of_networks_without_signal_are_their_noise():
    grid = LINE | {"defocus_nm": list(range(60))}
    found = steps(np.full((60, 60), 0.5), grid, sd_replica=0.05, sd_structure=0.1)
    networks = found.sel(along="defocus_nm", step_end="train")
    # Two means over two replicas: √(2·0.05²/2) = 0.05; structures are the same and drop out.
    expected = 0.05 * np.sqrt(2 / np.pi)
    assert networks.step_noise == pytest.approx(expected, rel=0.25)
    assert networks.step == pytest.approx(expected, rel=0.25)
    assert networks.step_resolved < 0.15
    # The same networks under two test conditions: their noise drops out too.
    assert found.step_noise.sel(along="defocus_nm", step_end="test") < 1e-6


def test_each_step_is_compared_with_its_own_noise():
    """Half of the networks scatter by 0.1, and the others by 0.02; all steps are 0.05."""
    conditions = 40
    grid = LINE | {"defocus_nm": list(range(conditions))}
    M = np.repeat([[0.3], [0.7]], conditions // 2, 0) + 0.05 * (np.arange(conditions) % 2)[:, None]
    table = make_table(grid, M + np.zeros((1, conditions)), replicas=6)
    noise = np.random.default_rng(0).normal(size=(conditions, 6, 1, 1, 1))
    noise = noise * np.repeat([0.1, 0.02], conditions // 2)[:, None, None, None, None]
    tp = table.counts.values[..., 0] + 1e6 * noise
    table["counts"] = (table.counts.dims, np.stack([tp, 1e6 - tp, 1e6 - tp], -1))
    found = smoothness.steps(table).squeeze().sel(along="defocus_nm", step_end="train")
    assert found.step_resolved == pytest.approx(0.5, abs=0.1)
    # Of steps with the noise σ√(2/6) each: the mean of both halves, not the root of mean squares.
    expected = np.sqrt(2 / np.pi) * np.sqrt(2 / 6) * (0.1 + 0.02) / 2
    assert found.step_noise == pytest.approx(expected, rel=0.2)


def test_noise_of_the_replicas_alone_is_without_the_images():
    grid = LINE | {"defocus_nm": list(range(60))}
    table = make_table(grid, np.full((60, 60), 0.5), sd_replica=0.05, sd_structure=0.2)
    # Every second network has the images in another order, so that they no longer drop out.
    odd = table.counts.isel(train=slice(1, None, 2))
    table.counts[{"train": slice(1, None, 2)}] = odd.roll(structure=1).values
    both, alone = (
        smoothness.steps(table, of_images=of_images).squeeze().sel(along="defocus_nm")
        for of_images in (True, False)
    )
    assert (both.step == alone.step).all()
    expected = 0.05 * np.sqrt(2 / np.pi)
    assert alone.step_noise.sel(step_end="train") == pytest.approx(expected, rel=0.25)
    assert (both.step_noise > 1.5 * alone.step_noise).sel(step_end="train")
    assert alone.step_resolved.sel(step_end="train") < 0.15


def test_a_line_over_the_logarithm_of_the_dose_bends_only_over_the_dose():
    doses = [50, 200, 1600]
    M = np.log10(doses)[:, None] / 5 + np.zeros((1, 3))
    table = make_table(LINE | {"defocus_nm": [0], "dose_e_per_A2": doses}, M)
    name = "train_dose_e_per_A2"
    linear, logarithmic = (
        smoothness.steps(each).squeeze().sel(along="dose_e_per_A2", step_end="train")
        for each in (table, table.assign_coords({name: np.log10(table[name])}))
    )
    assert logarithmic.bend == pytest.approx(0, abs=1e-4)
    assert linear.bend > 0.05
    assert linear.step == logarithmic.step


def test_one_replica_gives_no_noise_and_a_missing_cell_has_no_effect():
    M = np.array([[0.1, 0.2, 0.5], [0.3, 0.3, 0.6], [0.9, 0.1, 0.5]])
    found = steps(M, replicas=1).sel(along="defocus_nm", step_end="train")
    assert np.isnan(found.step_noise)
    assert found.step == pytest.approx(np.abs(np.diff(M, axis=0)).mean(), abs=1e-5)
    table = make_table(LINE, M)
    table.counts[:, :, 2] = np.nan
    found = smoothness.steps(table).squeeze().sel(along="defocus_nm", step_end="train")
    assert found.step == pytest.approx(np.abs(M[1] - M[0]).mean(), abs=1e-5)
    assert found.steps == 3


def test_monotonicity_is_spearmans_and_that_of_the_best_monotonic_function():
    metrics, information = make_metrics()
    found = smoothness.monotonicity(metrics, information, 20).squeeze(GROUP)
    assert list(found.metric.values) == ["overlap", "coverage"]
    of = found.sel(weight="flat", metric="coverage")
    M = metrics.dice.squeeze().values
    off = ~np.eye(len(M), dtype=bool)
    kappa = information.coverage.values[0]
    assert of.along_rho == pytest.approx(spearmanr(kappa[off], M[off]).statistic)
    # At given doses M is a straight line of coverage; over all doses it is not.
    assert of.along_r2_dose == pytest.approx(1)
    assert of.along_rho_dose == pytest.approx(1)
    assert 0.5 < of.along_r2 < 0.99
    low, high = of.along_rho_interval.values
    assert low < of.along_rho < high
    assert found.weight.values.tolist() == ["flat"]


def test_a_specimens_weights_are_named_alike_for_all_specimens():
    metrics, information = make_metrics()
    bands = ["gold", "gold/0-0.3", "copper", "copper/0-0.3"]
    more = [information.assign_coords(weight=[name]) for name in bands]
    more[1] = more[1].assign(overlap=-information.overlap.values + 0 * more[1].overlap)
    found = smoothness.monotonicity(metrics, xr.concat([information, *more], "weight"), 5).squeeze()
    assert found.weight.values.tolist() == ["flat", "specimen", "specimen/0-0.3"]
    rho = found.along_rho.sel(metric="overlap")
    assert rho.sel(weight="specimen") == pytest.approx(float(rho.sel(weight="flat")))
    assert rho.sel(weight="specimen/0-0.3") == pytest.approx(-float(rho.sel(weight="flat")))


def test_falling_is_as_monotonic_as_rising():
    x = np.random.default_rng(0).permutation(np.repeat(np.arange(10.0), 2))
    y = -(x**3)
    np.testing.assert_allclose(smoothness._monotonic(x, y), y)
    bump = (x - 4.5) ** 2
    assert np.var(bump - smoothness._monotonic(x, bump)) > 0.3 * np.var(bump)
    assert matrices.MIN_CONDITIONS <= 24
