"""Hot pixels, pixel size and local normalisation, by what the results must be."""

import numpy as np
import pytest

from passband.micrographs.images import preparation
from passband.micrographs.images.preparation import (
    remove_hot_pixels,
    resample,
)


def poisson(mean, shape=None) -> np.ndarray:
    """Return counts: an image of one mean if `mean` is a number."""
    shape = shape or np.shape(mean) or (400, 400)
    return np.random.default_rng(0).poisson(mean, shape).astype(np.float32)


def grid(height: int, width: int, pixel: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of pixels' centres, from the edge of the image."""
    return (np.arange(height) + 0.5)[:, None] * pixel, (np.arange(width) + 0.5) * pixel


# Hot pixels


@pytest.mark.parametrize("electrons", [0.05, 0.5, 1, 3, 10, 100])
def test_poisson_noise_stays_as_it_is(electrons):
    image = poisson(electrons)
    assert (remove_hot_pixels(image) != image).mean() < 1e-4
    standardised = (image - image.mean()) / image.std()  # with negative values
    if electrons >= 1:
        assert (remove_hot_pixels(standardised) != standardised).mean() < 1e-4


def test_noise_of_uneven_illumination_and_fringes_stay_as_they_are():
    y, x = grid(400, 400, 0.3)
    uneven = poisson(np.broadcast_to(0.5 + 99.5 * (x / 120) ** 4, (400, 400)))
    assert (remove_hot_pixels(uneven) != uneven).mean() < 1e-4
    inside = (y - 60) ** 2 + (x - 60) ** 2 < 25**2  # a particle, whose fringes exceed the noise
    for electrons in (10, 1e4):
        fringes = poisson(electrons * (1 + 0.4 * inside * np.cos(2 * np.pi * x / 2.0)))
        assert (remove_hot_pixels(fringes) != fringes).mean() < 1e-4


@pytest.mark.parametrize("electrons", [0.5, 5, 100])
@pytest.mark.parametrize("side", [1, 2, 3])
def test_hot_spots_are_replaced_also_at_edges(electrons, side):
    image = poisson(electrons)
    hot = image.copy()
    spots = [(100, 100), (200, 4), (390 - side, 7)]
    if side < 3:  # a spot at an edge is doubled by its mirror image
        spots += [(0, 0), (0, 200), (400 - side, 400 - side)]
    for row, column in spots:
        hot[row : row + side, column : column + side] += 60 * np.sqrt(electrons) + 60
    clean = remove_hot_pixels(hot)
    changed = hot != image
    assert np.abs(clean - electrons)[changed].max() < 6 * np.sqrt(electrons) + 6
    np.testing.assert_array_equal(clean[~changed], hot[~changed])


def test_dead_pixels_are_replaced():
    image = poisson(1000)
    image[50, 60] = 0
    assert abs(remove_hot_pixels(image)[50, 60] - 1000) < 100


def test_bands_do_not_change_the_result(monkeypatch):
    image = poisson(5, (150, 90))
    image[::26, ::17] += 200
    expected = remove_hot_pixels(image), resample(image, 0.3, 0.4)

    monkeypatch.setattr(
        preparation,
        "bands",
        lambda shape: [slice(k, k + 50) for k in (0, 50, 100)][: -(-shape[0] // 50)],
    )
    found = remove_hot_pixels(image), resample(image, 0.3, 0.4)
    assert (expected[0] != image).any()
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


# Flat field


# Pixel size


@pytest.mark.parametrize(
    ("shape", "pixel_from", "pixel_to"),
    [
        ((256, 301), 0.25, 0.3),
        ((255, 300), 0.25, 0.137),
        ((97, 128), 0.3, 0.25),
        ((400, 401), 0.21, 0.5),
        ((64, 65), 0.25, 0.2511),
        ((200, 101), 0.25, 0.5),
        ((201, 100), 0.5, 0.25),
    ],
)
def test_a_band_limited_pattern_is_resampled(shape, pixel_from, pixel_to):
    def pattern(y, x):
        waves = 10 * np.cos(2 * np.pi * (y / 2.03 + x / 3.1)), 5 * np.sin(2 * np.pi * x / 2.35)
        return 100 + sum(waves)

    image = pattern(*grid(*shape, pixel_from)).astype(np.float32)
    result = resample(image, pixel_from, pixel_to)
    assert result.shape == tuple(round(side * pixel_from / pixel_to) for side in shape)
    assert result.dtype == np.float32
    ratio = (pixel_to / pixel_from) ** 2
    assert result.mean() == pytest.approx(image.mean() * ratio, rel=1e-3)
    error = np.abs(result / ratio - pattern(*grid(*result.shape, pixel_to)))
    margin = 12
    assert error[margin:-margin, margin:-margin].max() < 0.25  # of amplitudes of 10 and 5
    assert error.max() < 4


def test_the_opposite_edge_does_not_ring():
    image = np.broadcast_to(np.linspace(100, 200, 200, dtype=np.float32), (100, 200))
    result = resample(image, 0.3, 0.37)
    x = (np.arange(result.shape[1]) + 0.5) * 0.37 / 0.3 - 0.5
    truth = (100 + x * 100 / 199) * (0.37 / 0.3) ** 2
    np.testing.assert_allclose(result, np.broadcast_to(truth, result.shape), atol=0.3)


def test_frequencies_that_the_new_pixels_cannot_show_are_removed():
    y, x = grid(300, 300, 0.2)
    image = (100 + 20 * np.cos(2 * np.pi * x / 0.8) + 0 * y).astype(np.float32)
    result = resample(image, 0.2, 0.5)[10:-10, 10:-10]
    assert result.std() < 0.02 * result.mean()


def test_poisson_noise_keeps_a_variance_equal_to_its_mean_in_larger_pixels():
    for pixel in (0.25, 0.5, 0.61):
        result = resample(poisson(20, (600, 600)), 0.2, pixel)
        assert result.var() / result.mean() == pytest.approx(1, abs=0.03)


def test_the_same_pixel_size_and_bad_ones():
    image = poisson(5, (40, 41))
    same = resample(image, 0.25, 0.25)
    np.testing.assert_array_equal(same, image)
    assert same is not image
    for pixel in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="must be positive"):
            resample(image, 0.25, pixel)
