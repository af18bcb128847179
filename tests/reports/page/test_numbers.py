"""The numbers of a study's page, compared with direct computations from the matrix."""

import numpy as np
import pytest
import xarray as xr
from matrices import GRID, make_table
from report_content import numbers_of
from scipy.stats import t

from passband.axes import MAIN_AXES
from passband.grid import Axes, Condition
from passband.reports.page.numbers import CLOSE

IDS = [c.id for c in Axes.main.conditions(GRID)]
M = np.random.default_rng(1).uniform(0.2, 0.9, (len(IDS), len(IDS)))
OTHER = ~np.eye(len(IDS), dtype=bool)
LOSS = np.diag(M) - M


def test_the_five_numbers_are_means_over_pairs_of_different_conditions():
    found = numbers_of(make_table(GRID, M), None)
    assert found.home.value == pytest.approx(np.diag(M).mean())
    assert found.other.value == pytest.approx(M[OTHER].mean())
    assert found.loss.value == pytest.approx(LOSS[OTHER].mean())
    assert found.worst.value == pytest.approx(np.where(OTHER, M, 1).min(1).mean())
    assert found.close.value == pytest.approx((LOSS[OTHER] <= CLOSE).mean())
    assert found.pairs == OTHER.sum()
    assert np.isnan([found.home.low, found.home.high]).all()
    np.testing.assert_allclose(found.matrices["gold", "compact"], M)


def test_only_tests_on_the_specimen_of_training_count():
    silver = make_table(GRID, M / 2).assign_coords(test_specimen=["silver"])
    found = numbers_of(xr.concat([make_table(GRID, M), silver], "test_specimen"), None)
    assert found.home.value == pytest.approx(np.diag(M).mean())
    np.testing.assert_allclose(found.matrices["gold", "compact"], M)


@pytest.mark.parametrize("axis", MAIN_AXES)
def test_an_axis_has_the_pairs_that_differ_in_it_alone(axis):
    parsed = [Condition.parse(id) for id in IDS]
    chosen = [
        LOSS[i, j]
        for i, a in enumerate(parsed)
        for j, b in enumerate(parsed)
        if [n for n in MAIN_AXES if getattr(a, n) != getattr(b, n)] == [axis]
    ]
    found = numbers_of(make_table(GRID, M), None)
    assert found.axes[axis].value == pytest.approx(np.mean(chosen))


def test_a_range_is_wide_where_structures_differ_and_contains_the_mean():
    alike = numbers_of(make_table(GRID, M), 0.95)
    assert alike.home.low == pytest.approx(alike.home.value)
    apart = numbers_of(make_table(GRID, M, sd_structure=0.05, sd_replica=0.02), 0.95)
    assert apart.home.low < apart.home.value < apart.home.high
    # The deviation of a mean of 12 structures; the range spans about four deviations.
    assert 0.02 < apart.home.high - apart.home.low < 0.12
    # Structures are paired, so a difference of two conditions hardly varies.
    assert apart.loss.high - apart.loss.low < (apart.home.high - apart.home.low) / 3


def test_missing_networks_are_left_out():
    table = make_table(GRID, M)
    table["counts"] = table.counts.where(table.train != IDS[0])
    found = numbers_of(table, 0.95)
    assert found.home.value == pytest.approx(np.diag(M)[1:].mean())
    assert found.other.value == pytest.approx(M[1:][OTHER[1:]].mean())
    losses = np.where(OTHER, LOSS, np.nan)[1:, 1:]  # nobody was trained under the first condition
    assert found.loss.value == pytest.approx(np.nanmean(losses))
    assert np.isnan(found.matrices["gold", "compact"][0]).all()


def test_one_condition_has_no_pairs():
    table = make_table(GRID, M).isel(train=[0], test=[0])
    found = numbers_of(table, 0.95)
    assert found.home.value == pytest.approx(M[0, 0])
    assert (found.pairs, found.axes) == (0, {})
    assert not found.other
    assert not found.loss
    assert not found.worst


def test_test_conditions_that_nobody_was_trained_under_have_no_loss():
    found = numbers_of(make_table(GRID, M).isel(train=slice(0, 3), test=slice(3, None)), None)
    assert found.other.value == pytest.approx(M[:3, 3:].mean())
    assert not found.home
    assert not found.loss
    assert not found.close


def test_rows_whose_condition_is_no_column_have_their_own_dice():
    table = make_table(GRID, M)
    own = table.counts.isel(test=xr.DataArray(np.arange(len(IDS)), dims="train")).drop_vars(
        [name for name in table.coords if str(name).startswith("test") and name != "test_specimen"]
    )
    table = table.isel(test=slice(0, 3))
    table["own_counts"] = own
    found = numbers_of(table, None)
    (rows,) = found.home_rows.values()
    assert np.isnan(rows[:3]).all()
    np.testing.assert_allclose(rows[3:], np.diag(M)[3:], atol=1e-3)
    assert found.home.value == pytest.approx(np.diag(M).mean(), abs=1e-3)
    assert not numbers_of(make_table(GRID, M), None).home_rows


def test_ranges_by_hand_from_one_pair_of_conditions():
    table = make_table(GRID, M, sd_structure=0.05, sd_replica=0.02).isel(train=[0], test=[0])
    found = numbers_of(table, 0.9).home
    tp, fp, fn = np.moveaxis(table.counts.squeeze().values, -1, 0)
    D = 2 * tp / (2 * tp + fp + fn)  # replica, structure
    parts = [(D.mean(1 - k), D.shape[k]) for k in range(2)]
    variances = [means.var(ddof=1) / number for means, number in parts]
    freedom = sum(variances) ** 2 / sum(
        v**2 / (number - 1) for v, (_, number) in zip(variances, parts, strict=True)
    )
    half = t.ppf(0.95, freedom) * np.sqrt(sum(variances))
    assert [found.low, found.high] == pytest.approx([D.mean() - half, D.mean() + half])


@pytest.mark.slow
def test_a_single_replica_has_ranges_over_structures_and_a_missing_one_keeps_its_condition():
    table = make_table(GRID, M, sd_structure=0.05, sd_replica=0.02)
    alone = numbers_of(table.isel(replica=[0]), 0.95).home
    assert np.isfinite([alone.low, alone.high]).all()
    assert np.isnan(numbers_of(table.isel(replica=[0], structure=[0]), 0.95).home.low)
    both = numbers_of(table, 0.95).home
    last = (table.train == IDS[0]) & (table.replica > 0)
    table["counts"] = table.counts.where(~last)
    found = numbers_of(table, 0.95).home
    assert found.high - found.low == pytest.approx(both.high - both.low, rel=0.1)


@pytest.mark.slow
def test_ranges_cover_the_mean_over_other_structures_and_replicas():
    random = np.random.default_rng(7)
    M = np.full((2, 2), 0.6)
    grid = {name: values[:1] for name, values in GRID.items()} | {"defocus_nm": [0, 10]}
    covered = []
    for _ in range(200):
        table = make_table(grid, M)
        D = 0.6 + random.normal(0, 0.03, table.counts.shape[-2])
        D = D + random.normal(0, 0.03, (2, table.sizes["replica"], 1, 1, 1))
        tp = np.broadcast_to(np.round(1000 * D), table.counts.shape[2:-1])
        table["counts"] = (
            table.counts.dims,
            np.stack([tp, 1000 - tp, 1000 - tp], -1)[None, None],
        )
        found = numbers_of(table, 0.9).home
        covered.append(found.low <= 0.6 <= found.high)
    assert 0.84 < np.mean(covered) < 0.97
