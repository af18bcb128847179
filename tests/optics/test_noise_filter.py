"""The filter of counts, compared with kernels in real space."""

import numpy as np
import pytest

from passband.config import Microscope
from passband.optics.noise_filter import binned, hann, on_grid, response


def transform(kernel, half, q):
    """Return the Fourier transform of a symmetric kernel by a fine sum."""
    x = (np.arange(20_000) + 0.5) / 20_000 * half
    values = kernel(x)
    return (values * np.cos(2 * np.pi * q[:, None] * x)).sum(1) / values.sum()


def test_kernels_have_the_transforms_of_their_definitions():
    q = np.array([0.0, 0.2, 0.5, 1 / (2 * 0.776), 0.9, 1.7])
    expected = transform(lambda x: 1 + np.cos(np.pi * x / 0.776), 0.776, q)
    np.testing.assert_allclose(hann(0.776, q), expected, atol=1e-6)
    np.testing.assert_allclose(binned(1.2, q), transform(np.ones_like, 0.6, q), atol=1e-6)


def test_a_table_depends_on_the_distance_from_zero_and_ends_constant():
    qx, qy = np.array([0.0, 0.3, 0.6, 3.0]), np.array([0.0, 0.4, 0.8, 4.0])
    values = response(qx, qy, "table", table=[[0, 1], [0.5, 0.8], [1, 0.4]])
    np.testing.assert_allclose(values, [1, 0.8, 0.4, 0.4])


def test_beyond_the_stored_pixels_nothing_is_left():
    factor = on_grid((40, 60), 0.5, "white", stored_pixel_A=0.8)
    qx, qy = np.fft.fftfreq(40, 0.5)[:, None], np.fft.rfftfreq(60, 0.5)[None]
    inside = (np.abs(qx) <= 0.625) & (qy <= 0.625)
    np.testing.assert_array_equal(factor, inside)
    assert 0 < inside.sum() < inside.size


def test_white_noise_needs_no_filter_and_an_unknown_form_is_refused():
    assert Microscope().noise_filter is None
    for noise in ({"stored_pixel_A": 2.0}, {"form": "hann", "width_A": 0.8}):
        microscope = Microscope.model_validate({"detector": {"noise": noise}})
        assert microscope.noise_filter[0, 0] == 1
    with pytest.raises(ValueError, match="noise 'pink': must be white, binned, hann or table"):
        on_grid((8, 8), 1.0, "pink")
