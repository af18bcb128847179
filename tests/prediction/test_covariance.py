"""The distances between profiles that the package's process has."""

import numpy as np
import pytest
from matrices import make_metrics, make_profiles

from passband.prediction.covariance import DISTANCES, PROFILES, correlation, distances


@pytest.fixture
def profiles():
    return make_profiles(make_metrics()[0])["gold"]


def test_the_correlation_has_the_sign_of_the_transfer(profiles):
    s = 4.0**profiles.bits - 1
    c = correlation(profiles)
    np.testing.assert_allclose(c**2, s / (1 + s), atol=1e-12)
    np.testing.assert_array_equal(np.sign(c), np.sign(profiles.T))
    assert (c < 0).any()
    assert (c > 0).any()


def test_distances_are_means_over_the_plane_of_frequencies(profiles):
    a, b = profiles[:5], profiles[3:]
    power = a.power * a.area * np.linspace(1, 2, len(a.area))
    weighted = {"power": power / a.area}
    a, b = (type(of)(**vars(of) | weighted) for of in (a, b))
    found = dict(zip(DISTANCES, distances(a, b), strict=True))
    curves = {"correlation": (correlation(a), correlation(b), power)}
    curves["bits"] = a.bits, b.bits, a.area
    for name, (x, y, weight) in curves.items():
        expected = ((x[:, None] - y) ** 2 * weight).sum(-1) / weight.sum()
        np.testing.assert_allclose(found[name], expected, atol=1e-12)
    apart = np.subtract.outer(a.log_dose, b.log_dose)
    np.testing.assert_allclose(found["log_dose"], apart**2, atol=1e-12)


def test_the_package_has_one_length_for_each_distance():
    assert PROFILES.names == DISTANCES
    assert len(PROFILES.lengths) == len(DISTANCES)
