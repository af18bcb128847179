"""What recommended networks lose."""

import json
from dataclasses import replace

import numpy as np
import pytest

from passband.analysis.bootstrap import NOTHING, Estimate
from passband.prediction.recommend.left_out_tests import LeftOut
from passband.prediction.recommend.recommendation_scores import (
    RecommendationCheck,
    estimate,
    losses,
)

#: Dice (network, test) on two halves of the structures.
FIRST = np.array([[0.9, 0.5, 0.8], [0.8, 0.9, 0.7], [0.1, 0.2, 0.3]])
SECOND = np.array([[0.7, 0.6, 0.8], [0.8, 0.6, 0.9], [0.2, 0.1, 0.2]])
D = (FIRST + SECOND) / 2
#: With the first half, network 0 is expected to be best; with the second, network 1.
EXPECTED = LeftOut(
    D + np.array([[0.3], [0.0], [0.0]]),
    D - 0.1,
    D + np.array([0.1, 0.1, -0.01]),
    (np.array([[0.9], [0.5], [0.1]]) * np.ones(3), np.array([[0.5], [0.9], [0.1]]) * np.ones(3)),
    True,
)
APART = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 0.0, 3.0]])
EVERY = np.ones((3, 3), dtype=bool)


def test_the_interval_of_a_mean_contains_the_mean_of_many_samples():
    values = np.random.default_rng(0).normal(size=400)
    found = estimate(values, "test")
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert estimate(np.array([0.1, np.nan]), "test") is NOTHING


def test_each_half_chooses_and_the_other_judges():
    found = losses(D, [FIRST, SECOND], EXPECTED, APART, EVERY)
    best_of_second = np.array([0.8, 0.6, 0.9])
    best_of_first = np.array([0.9, 0.9, 0.8])
    ours = (best_of_second - SECOND[0] + best_of_first - FIRST[1]) / 2
    assert found.recommended.value == pytest.approx(ours.mean())
    near = np.array([0, 2, 0]), np.arange(3)
    simple = (best_of_second - SECOND[near] + best_of_first - FIRST[near]) / 2
    assert found.nearest.value == pytest.approx(simple.mean())
    assert found.difference.value == pytest.approx((simple - ours).mean())
    assert found.difference.low < found.difference.value < found.difference.high
    there = [SECOND[[0, 1, 0], [0, 1, 2]], FIRST[[1, 0, 1], [0, 1, 2]]]
    tested = (best_of_second - there[0] + best_of_first - there[1]) / 2
    assert found.tested.value == pytest.approx(tested.mean())


def test_equally_near_networks_are_compared_by_what_is_known_elsewhere():
    """Under the left-out condition itself, the other network is better."""
    known = np.array([[0.5, 0.9, 0.9], [0.8, 0.1, 0.1]])
    expected = LeftOut(known, known, known, (known,), True)
    apart = np.array([[1.0, 1.0, 9.0], [1.0, 9.0, 1.0]])
    found = losses(known, [known], expected, apart, np.ones((2, 3), dtype=bool))
    assert found.nearest.value == pytest.approx((0.8 - 0.5 + 0.9 - 0.9 + 0.9 - 0.1) / 3)


def test_only_candidates_are_chosen_and_conditions_without_any_are_left_out():
    candidates = EVERY.copy()
    candidates[0] = False
    found = losses(D, [FIRST, SECOND], EXPECTED, APART, candidates)
    assert found.recommended == Estimate(0, 0, 0)  # network 1 is the best of those that are left
    assert found.optimism == pytest.approx(0)
    candidates[:, 1] = False
    found = losses(D, [FIRST, SECOND], EXPECTED, APART, candidates)
    assert found.nearest == Estimate(0, 0, 0)


def test_coverage_is_that_of_the_recommended_networks():
    found = losses(D, [FIRST, SECOND], EXPECTED, APART, EVERY)
    assert found.coverage.value == pytest.approx(2 / 3)
    assert found.optimism == pytest.approx(0.3)
    narrow = replace(EXPECTED, high=EXPECTED.low)
    assert losses(D, [FIRST, SECOND], narrow, APART, EVERY).coverage.value == 0


def test_mixtures_alone_are_near_nothing():
    found = losses(D, [FIRST, SECOND], EXPECTED, np.full((3, 3), np.inf), EVERY)
    assert found.nearest is NOTHING
    assert found.difference is NOTHING
    assert found.recommended
    check = RecommendationCheck(
        study="a",
        specimen="gold",
        networks=3,
        conditions=("x", "y", "z"),
        skipped=(),
        outside=0,
        trained_there=0,
        every=found,
        new=None,
        coverage=NOTHING,
        half_width=0.1,
        error=0.1,
        structures=2,
        refitted=True,
    )
    content = json.loads(check.to_json())
    assert content["every"]["nearest"]["value"] is None
    assert content["new"] is None
