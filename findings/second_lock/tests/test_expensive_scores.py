"""Monotone maps, halves, the ceiling, and the claim about expensive networks."""

import numpy as np
import pytest

from findings.second_lock.expensive_scores import (
    ceiling,
    mapped,
    means_of_tests,
    of_line,
    rank_correlation,
    verdict,
)
from findings.second_lock.scores import isotonic

# The rows are in no order of their doses.
DOSES = np.random.default_rng(3).permutation(np.geomspace(50, 1600, 12)), np.geomspace(60, 1500, 40)
FIRST = np.arange(12) % 2 == 0


def test_a_monotone_relation_is_found_and_a_reversal_becomes_constant():
    x = np.linspace(0, 1, 50)
    np.testing.assert_allclose(isotonic(x, x**2, x), x**2)
    np.testing.assert_allclose(isotonic(x, 1 - x, x), 0.5)
    # Equal predictions have the mean, and beyond the known ones the map is constant.
    found = isotonic(np.array([0.2, 0.2, 0.6]), np.array([0.1, 0.3, 0.8]), np.array([0, 0.4, 1]))
    np.testing.assert_allclose(found, [0.2, 0.5, 0.8])


def test_no_row_is_judged_by_a_map_that_knows_it():
    rng = np.random.default_rng(0)
    predicted, true = rng.random((2, 12, 40))
    found = mapped(predicted, true, FIRST)
    means = means_of_tests(true, FIRST)
    changed = true.copy()
    changed[FIRST] = 0.5
    np.testing.assert_array_equal(mapped(predicted, changed, FIRST)[FIRST], found[FIRST])
    assert not np.allclose(mapped(predicted, changed, FIRST)[~FIRST], found[~FIRST])
    np.testing.assert_allclose(means[~FIRST][0], true[FIRST].mean(0))
    np.testing.assert_allclose(means[FIRST][0], true[~FIRST].mean(0))


@pytest.mark.parametrize(("single", "within"), [(0, 0.01), (4, 0.05)])
def test_the_ceiling_is_what_the_true_means_reach(single, within):
    """Measured as the mean INT of the true means over many draws of noise.

    With single replicas it is less exact, since rows of different doses have different shares of
    the interaction, which the protocol's formula does not know.
    """
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(12, 40))
    found = []
    reached = []
    for _ in range(200):
        replicas = signal[:, None] + rng.normal(size=(12, 2, 40))
        replicas[12 - single :, 1] = np.nan
        found.append(ceiling(replicas, DOSES))
        true = np.nanmean(replicas, axis=1)
        reached.append(of_line(true, signal, DOSES, replicas)["interaction"])
    assert np.mean(found) == pytest.approx(np.mean(reached), abs=within)


def test_rho_of_rows_and_its_interval():
    rng = np.random.default_rng(2)
    true = rng.random((12, 40)) + np.arange(12)[:, None]
    replicas = np.repeat(true[:, None], 2, axis=1)
    line = of_line(true, true, DOSES, replicas)
    assert line["rho"][0] == pytest.approx(1)
    assert line["r2"] == line["interaction"] == 1
    assert of_line(true, np.full_like(true, 0.5), DOSES, replicas)["rho"] == (0, 0, 0)
    rho, low, high = rank_correlation(np.arange(12.0), np.array([1, 0, *range(2, 12)]))
    assert low < rho < high
    assert np.arctanh(high) - np.arctanh(rho) == pytest.approx(1.96 / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("rho", "share", "expected"),
    [
        (0.8, 0.6, "holds"),
        (0.79, 0.9, "open"),
        (0.9, 0.59, "open"),
        (0.29, 0.9, "refuted"),
        (0.9, 0.29, "refuted"),
    ],
)
def test_the_verdict_follows_the_worse_architecture(rho, share, expected):
    good = {"rho": (0.95, 0, 1), "interaction": 0.8, "ceiling": 0.9}
    other = {"rho": (rho, 0, 1), "interaction": share * 0.5 + 1e-12, "ceiling": 0.5}
    assert verdict([good, other]) == expected
