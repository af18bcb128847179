"""What a process expects under test conditions that it does not know."""

import numpy as np
import pytest

from passband.analysis.profiles import profiles
from passband.analysis.spectra import flat_spectrum
from passband.config import Microscope
from passband.grid import Axes, Condition
from passband.prediction import gaussian_process
from passband.prediction.range_of_use import TestedDoses
from passband.prediction.recommend import left_out_tests
from passband.prediction.recommend.left_out_tests import left_out
from passband.prediction.recommend.network_dice import predicted

TRAIN = Axes.main.conditions(
    {"defocus_nm": [5, 20], "cs_um": [1.2], "aperture_mrad": [10, 18], "dose_e_per_A2": [100, 1000]}
)
#: The last two have doses of their own: one above all others, and one too low for the others.
TESTS = [*TRAIN[:6], Condition(12, 1.2, 14, 4000), Condition(12, 1.2, 14, 20)]
LOW, HIGH = 7, 6


def profiled(conditions):
    return profiles(conditions, Microscope(field_px=64, pixel_size_A=0.3), 32, flat_spectrum(0.005))


@pytest.fixture(scope="module")
def halves():
    """Dice of two replicas of each training condition on two halves of the structures."""
    random = np.random.default_rng(3)
    apart = [[abs(a.defocus_nm - b.defocus_nm) / 40 for b in TESTS] for a in TRAIN for _ in "01"]
    return [0.9 - np.array(apart) - 0.05 * random.random((16, len(TESTS))) for _ in "01"]


@pytest.fixture(scope="module")
def networks():
    return profiled(TRAIN)[np.repeat(np.arange(8), 2)]


@pytest.fixture(scope="module")
def model(halves, networks):
    return gaussian_process.fit(np.mean(halves, axis=0), networks, profiled(TESTS))


def without(D, networks, j, theta=None):
    """Return what a process expects that is fitted to all other test conditions alone."""
    others = [k for k in range(len(TESTS)) if k != j]
    rest = [TESTS[k] for k in others]
    process = gaussian_process.fit(D[:, others], networks, profiled(rest), theta=theta)
    doses = TestedDoses.of(rest)
    return process, [x[:, 0] for x in predicted(process, None, [TESTS[j]], profiled, doses)]


@pytest.mark.slow
@pytest.mark.parametrize("refit", [True, False])
def test_expected_dice_is_that_of_a_process_without_the_condition(
    halves, networks, model, refit, monkeypatch
):
    if not refit:
        monkeypatch.setattr(left_out_tests, "MOST_REFITTED", 8 * len(TESTS) - 1)
    D = np.mean(halves, axis=0)
    found = left_out(model, D, halves, networks, TESTS, profiled)
    assert found.refitted == refit
    for j in range(len(TESTS)):
        every = [found.mean[:, j], found.low[:, j], found.high[:, j]]
        if j == LOW:
            assert np.isnan([*every, *(half[:, j] for half in found.halves)]).all()
            continue
        process, expected = without(D, networks, j, None if refit else model.theta)
        # The mean and the scale of the logits differ a little, and the factor of the interval.
        same = {"atol": 1e-12} if refit or j == HIGH else {"atol": 0.01}
        np.testing.assert_allclose(every[0], expected[0], **same)
        np.testing.assert_allclose(every[1:], expected[1:], **(same if refit else {"atol": 0.1}))
        for of_half, half in zip(found.halves, halves, strict=True):
            _, expected = without(half, networks, j, process.theta)
            np.testing.assert_allclose(of_half[:, j], expected[0], **same)


@pytest.mark.slow
def test_the_left_out_results_change_nothing_that_is_expected_there(halves, networks, model):
    changed = [half.copy() for half in halves]
    for half in changed:
        half[:, 2] = 0.1
    one, other = (
        left_out(model, np.mean(p, axis=0), p, networks, TESTS, profiled) for p in (halves, changed)
    )
    for name in ("mean", "low", "high"):
        np.testing.assert_array_equal(getattr(one, name)[:, 2], getattr(other, name)[:, 2])
        assert not np.array_equal(getattr(one, name)[:, 1], getattr(other, name)[:, 1])
    np.testing.assert_array_equal(one.halves[1][:, 2], other.halves[1][:, 2])
