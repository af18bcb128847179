"""The distances that the account compares stay those that it was made with."""

from dataclasses import replace

import numpy as np
import pytest
from matrices import make_metrics, make_profiles

from findings.twelve_thousand.kernels import BANDS, KERNELS


@pytest.fixture
def profiles():
    found = make_profiles(make_metrics()[0])["gold"]
    return replace(found, frequency=np.linspace(0.04, 0.6, 8))  # one or two in each band


def apart(curves, weight):
    return ((curves[:, None] - curves) ** 2 * weight).sum(-1) / weight.sum()


def test_the_four_distances_are_those_of_the_package_up_to_0_3(profiles):
    kernel = KERNELS["T(q), bits and dose"]
    power = profiles.power * profiles.area
    s = 4.0**profiles.bits - 1
    expected = {
        "T": apart(profiles.T, power),
        "correlation": apart(np.sqrt(s / (1 + s)), power),
        "bits": apart(profiles.bits, profiles.area),
        "log_dose": np.subtract.outer(profiles.log_dose, profiles.log_dose) ** 2,
    }
    assert kernel.names == tuple(expected)
    assert kernel.lengths == (0.5, 0.5, 0.25, 1.0)
    found = kernel.squared(profiles, profiles)
    np.testing.assert_allclose(found, np.stack([*expected.values()]), atol=1e-12)
    of_transfer = KERNELS["T(q)"].squared(profiles, profiles)
    np.testing.assert_array_equal(of_transfer, found[[0, 3]])


def test_bands_add_to_the_whole_curves(profiles):
    whole = KERNELS["T(q), bits and dose"].squared(profiles, profiles)
    found = KERNELS["T(q) in bands"].squared(profiles, profiles)
    number = len(BANDS) - 1
    np.testing.assert_allclose(found[:number].sum(0), whole[0], atol=1e-12)
    np.testing.assert_allclose(found[number : 2 * number].sum(0), whole[1], atol=1e-12)
    np.testing.assert_array_equal(found[2 * number :], whole[2:])
