"""Fitted pairs, scores within and across patches, and verdicts of part 5."""

import numpy as np
import pytest

from findings.second_lock import damaged_lines as lines
from findings.second_lock.damage import DOSES
from findings.second_lock.scores import Mean

PATCHES = 5
SHAPE = (3, 6, 4)


@pytest.fixture
def true():
    """Dice (patch, arm, condition, dose): patches differ in their level and in some noise."""
    random = np.random.default_rng(0)
    common = random.random(SHAPE)
    own = random.random((PATCHES, *SHAPE))
    level = np.linspace(0, 0.4, PATCHES)[:, None, None, None]
    return 0.2 + 0.4 * common + 0.05 * own + level


def test_pairs_have_the_doses_of_all_versions():
    assert (min(lines.ALL_DOSES), max(lines.ALL_DOSES)) == (12.5, 800)
    predicted = np.add.outer(lines.DEFOCI, np.array(lines.ALL_DOSES) / 1e3)
    found = lines.of_pairs(np.stack([predicted, predicted + 1000]))
    k = lines.pairs().index((20.0, 200.0))
    expected = 20 + np.array([200 * share for share in DOSES]) / 1e3
    assert found[k] == pytest.approx(np.stack([expected, 1000 + expected]))


def test_a_pair_is_that_which_explains_the_other_patches(true):
    candidates = np.random.default_rng(1).random((4, *SHAPE))
    candidates[2] = true[1:].mean(0) - 0.7  # a wrong level does not matter
    true[0] = candidates[1]
    assert lines.fitted(true, candidates)[0] == 2
    assert lines.fitted(true, candidates[:2])[1] == 1  # which patch 0 is explained by


def test_scores_are_of_what_was_predicted_without_a_patch(true):
    predicted = np.zeros((PATCHES, PATCHES, *SHAPE))
    for k in range(PATCHES):
        predicted[k, k] = true[k]  # of all others, nothing is predicted
    found = lines.by_patch(true, predicted)
    assert found["rho"] == pytest.approx(1)
    assert found["rho1"] == pytest.approx(1)
    of_others = [np.delete(true, k, 0).mean() for k in range(PATCHES)]
    assert found["error"] == pytest.approx(of_others)


def test_the_level_of_other_patches_is_taken_out(true):
    predicted = np.broadcast_to(true - 0.3, (PATCHES, *true.shape))
    assert lines.by_patch(true, predicted)["error"] == pytest.approx(0)


def test_rho_of_networks_does_not_see_doses_and_bands(true):
    of_version = np.arange(SHAPE[0])[:, None, None] + np.arange(SHAPE[2]) / 10
    predicted = np.broadcast_to(of_version, (PATCHES, PATCHES, *SHAPE))
    falling = np.broadcast_to(of_version, (PATCHES, *SHAPE))
    found = lines.by_patch(falling, predicted)
    assert found["rho"] == pytest.approx(1)
    assert found["rho1"] == pytest.approx(0)


def test_the_error_of_a_constant():
    levels = np.array([0.1, 0.3, 0.5])
    true = np.ones((3, *SHAPE)) * levels[:, None, None, None]
    assert lines.constant_error(true) == pytest.approx([0.3, 0, 0.3])


def test_an_interval_is_that_of_student():
    found = Mean.of(np.arange(1.0, 6.0))
    half = 2.776 * np.sqrt(2.5 / 5)
    assert (found.value, found.low, found.high) == pytest.approx((3, 3 - half, 3 + half), abs=1e-3)


def verdicts(a, dose, rho1, spread=0.02):
    """Return the verdicts for mean scores of A; B's are 0."""
    around = spread * np.linspace(-1, 1, 5)

    def of(rho, rho1):
        return {"rho": rho + around, "rho1": rho1 + around[::-1]}

    found = lines.claims({"A": of(a, rho1), "B": of(0, 0), "dose": of(dose, 0)})
    return [each["verdict"] for each in found.values()]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ({"a": 0.6, "dose": 0.4, "rho1": 0.4}, ["holds", "holds"]),
        ({"a": 0.4, "dose": 0.2, "rho1": 0.2}, ["open", "open"]),
        ({"a": 0.6, "dose": 0.7, "rho1": 0.4}, ["refuted", "holds"]),  # dose says as much
        ({"a": 0.6, "dose": 0.4, "rho1": 0.4, "spread": 2}, ["refuted", "refuted"]),
        ({"a": -0.6, "dose": -0.7, "rho1": -0.4}, ["refuted", "refuted"]),
    ],
)
def test_verdicts(of, expected):
    assert verdicts(**of) == expected
