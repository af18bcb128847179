"""Scores of particles as numbers from 0 to 1, and the claim about their prediction."""

import numpy as np
import pytest
import xarray as xr

from findings.second_lock.particle_scores import (
    APART,
    DIAMETER,
    F1,
    NUMBER,
    SCORES,
    by_replica,
    of_line,
    verdict,
)
from passband.particle_scores import NUMBERS, TRUTHS


def found(**of_image):
    """Return what one network found in two fields that have equal numbers."""
    numbers = np.zeros((1, 1, 1, 2, len(TRUTHS), len(NUMBERS)))
    for name, value in of_image.items():
        numbers[..., NUMBERS.index(name)] = value
    cell = "condition", "replica", "test"
    return xr.Dataset(
        {
            "particles": ((*cell, "structure", "truth", "number"), numbers.astype(np.uint32)),
            "apart": (cell, np.full((1, 1, 1), 0.3)),
        }
    )


def test_scores_are_those_of_the_package_as_ratios():
    sized = {"true_sized": 4, "true_pm": 8000, "found_sized": 2, "found_pm": 3600}
    scores = by_replica(found(true=4, matched=2, found=3, **sized))
    assert scores[F1].item() == pytest.approx(2 * 2 / (4 + 3))
    assert scores[NUMBER].item() == pytest.approx(3 / 4)
    assert scores[DIAMETER].item() == pytest.approx(1.8 / 2)
    assert scores[APART].item() == 0.3
    none = by_replica(found(true=4, true_sized=4, true_pm=8000))
    assert none[F1].item() == 0
    assert none[NUMBER].item() == 0
    assert np.isnan(none[DIAMETER].item())


@pytest.mark.parametrize("name", SCORES)
def test_shares_are_from_0_to_1_and_are_turned_back(name):
    values = np.array([0.0, 0.2, 0.7, 1.0] if name == F1 else [0.0, 0.2, 1.0, 4.0])
    share = SCORES[name].share(values)
    assert (share >= 0).all()
    assert (share <= 1).all()
    np.testing.assert_allclose(SCORES[name].back(share), values)


def test_the_logit_of_a_ratio_is_its_logarithm():
    share = SCORES[DIAMETER].share(np.array([0.8]))
    np.testing.assert_allclose(np.log(share / (1 - share)), np.log(0.8))


def test_cells_without_a_score_are_not_judged_and_leave_no_interaction():
    rng = np.random.default_rng(0)
    replicas = rng.random((12, 2, 15))
    true = replicas.mean(1)
    doses = np.geomspace(50, 800, 12), np.geomspace(60, 900, 15)
    perfect = of_line(true, true, doses, replicas)
    assert perfect["r2"] == perfect["interaction"] == 1
    assert perfect["unjudged"] == 0
    assert perfect["ceiling"] < 1
    true[0, 0] = np.nan
    some = of_line(true, np.where(np.isnan(true), 5, true + 0.1), doses, replicas)
    assert some["unjudged"] == 1
    assert some["error"] == pytest.approx(0.1)
    assert some["r2"] == pytest.approx(1 - 0.01 / np.nanvar(true))
    assert np.isnan(some["interaction"])


@pytest.mark.parametrize(
    ("r2", "of_a", "of_raw", "error", "expected"),
    [
        (0.92, 0.80, 0.60, 0.02, "holds"),
        (0.92, 0.80, 0.60, 0.04, "open"),
        (0.89, 0.80, 0.60, 0.02, "open"),
        (0.92, 0.74, 0.60, 0.02, "open"),
        (0.69, 0.80, 0.60, 0.02, "refuted"),
        (0.95, 0.80, 0.80, 0.02, "refuted"),
    ],
)
def test_the_verdict_follows_the_protocol(r2, of_a, of_raw, error, expected):
    f1 = {"A": {"r2": r2, "interaction": of_a}, "raw": {"interaction": of_raw}}
    assert verdict({F1: f1, DIAMETER: {"A": {"error": error}}}) == expected
