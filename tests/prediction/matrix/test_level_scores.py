"""Levels that are left out: what the process and its parameters may see."""

import numpy as np
import pytest
from matrices import make_metrics, make_profiles, matrix
from sklearn.metrics import r2_score

from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES
from passband.prediction.matrix import level_scores
from passband.prediction.matrix.level_scores import left_out


@pytest.fixture(scope="module")
def known():
    """Dice with noise, and the profiles of its conditions."""
    metrics, _ = make_metrics(noise=0.01)
    return matrix(metrics).dice.transpose("train", "test").values, make_profiles(metrics)["gold"]


@pytest.mark.parametrize("side", [0, 1])
def test_neither_the_process_nor_its_parameters_see_what_is_left_out(known, side):
    Y, profiles = known
    out = profiles.condition_defocus_nm.values == 15
    hidden = Y.copy()
    hidden[(out, slice(None)) if side == 0 else (slice(None), out)] = 0.5
    ends = profiles, profiles
    (found, theta), (again, same) = (left_out(D, ends, side, out, PROFILES) for D in (Y, hidden))
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(theta, same)
    np.testing.assert_array_equal(left_out(Y, ends, side, out, PROFILES, theta)[0], found)
    truth = np.compress(out, Y, side)
    assert found.shape == truth.shape
    assert r2_score(truth.ravel(), found.ravel()) > 0.3


def test_networks_that_are_left_out_have_the_same_test_images(known):
    """The images of each test have their own effect, which new networks share."""
    Y, profiles = known
    own = 0.05 * np.random.default_rng(2).normal(size=Y.shape[1])
    out = profiles.condition_defocus_nm.values == 15
    found, _ = left_out(np.clip(Y + own, 0, 1), (profiles, profiles), 0, out, PROFILES)
    apart = (found - left_out(Y, (profiles, profiles), 0, out, PROFILES)[0]).mean(0)
    assert np.corrcoef(apart, own)[0, 1] > 0.95


def test_parameters_are_found_from_a_part_of_many_rows(known, monkeypatch):
    Y, profiles = known
    out, sizes, fit = profiles.condition_defocus_nm.values == 15, [], gaussian_process.fit
    monkeypatch.setattr(level_scores, "ROWS", 9)
    monkeypatch.setattr(
        gaussian_process,
        "fit",
        lambda Y, *a, **k: (sizes.append((Y.shape, len(a) > 2)), fit(Y, *a, **k))[1],
    )
    left_out(Y, (profiles, profiles), 0, out, PROFILES)
    assert sizes == [((9, 24), False), ((16, 24), True)]  # then with the parameters
