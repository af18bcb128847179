"""What follows from the Dice of the arms of the intervention."""

import numpy as np
import pytest

from findings.second_lock.band_scores import ARMS, CANDIDATES, REFERENCE, advice_of, gaps, result

TESTS = 36
#: The gap of each arm under the lowest dose.
GAPS = {"plain": 0.2, "cut": 0.02, "control": 0.19, REFERENCE: 0.01}


def dice_of(gap, level=0.8, scatter=0.02, seed=0):
    """Dice of 12 pairs, 4 replicas and 36 tests whose gap is smaller at higher doses."""
    random = np.random.default_rng(seed)
    by_dose = gap * np.repeat([1, 0.5, 0], TESTS // 3)
    own = random.normal(0, scatter, 12)[:, None] + by_dose
    D = np.stack([level + own / 2, level - own / 2], 1).reshape(24, TESTS)
    return D[:, None] + random.normal(0, 0.01, (24, 4, TESTS))


def scored(gaps_of=GAPS, levels=None):
    dice = {arm: dice_of(gaps_of.get(arm, 0.1), seed=seed) for seed, arm in enumerate(ARMS)} | {
        advice_of(arm): dice_of(0.1, level=(levels or {}).get(arm, 0.8), seed=seed)
        for seed, arm in enumerate((*CANDIDATES, REFERENCE))
    }
    return result(dice, {arm: np.full((24, 4), 0.95) for arm in ARMS})


def test_a_gap_is_that_of_a_pair_under_the_tests_of_a_dose():
    D = np.zeros((24, 4, TESTS))
    D[6, :, 12:24] = 0.6  # the low fringe of the fourth pair, under the second dose
    D[7, 2, 12:24] = 0.4
    expected = np.zeros((3, 12))
    expected[1, 3] = 0.5
    np.testing.assert_allclose(gaps(D), expected)


def test_the_fringe_causes_the_gap_if_cutting_it_closes_it():
    found = scored()
    claim = found["claims"]["the fringe causes it"]
    assert claim["verdict"] == "holds"
    assert claim["closed"] == pytest.approx(0.9, abs=0.1)
    of_50 = found["doses"]["50"]
    assert of_50["gaps"]["plain"]["low"] < 0.2 < of_50["gaps"]["plain"]["high"]
    assert of_50["gaps"]["plain"]["value"] > 2 * found["doses"]["1600"]["gaps"]["plain"]["value"]


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        ({"cut": 0.2, "control": 0.2}, "refuted"),  # nothing is closed
        ({"cut": 0.02, "control": 0.1}, "refuted"),  # the control closes half
        ({"cut": 0.13, "control": 0.2}, "open"),  # a third is closed
        ({"plain": 0.0, "cut": 0.0, "control": 0.0}, "open"),  # there is no gap
    ],
)
def test_the_fringe_does_not_cause_the_gap(gap, verdict):
    assert scored(GAPS | gap)["claims"]["the fringe causes it"]["verdict"] == verdict


@pytest.mark.parametrize(
    ("level", "verdict"), [(0.83, "holds"), (0.8, "refuted"), (0.75, "refuted")]
)
def test_advice_must_be_better_than_the_mixture_of_doses(level, verdict):
    found = scored(levels={"noise": level, "cut": 0.75, CANDIDATES[1]: 0.75})
    assert found["claims"]["it is advice"]["verdict"] == verdict
    assert found["advice"]["dice"]["noise"] == pytest.approx(level, abs=0.01)
    assert all("p_holm" in each for each in found["advice"]["differences"].values())
