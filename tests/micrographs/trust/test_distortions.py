"""Distorted images keep the place of their masks."""

import numpy as np
import pytest

from passband.micrographs.trust.distortions import DISTORTIONS, FACTOR

SIDE = 96


@pytest.fixture
def disc():
    y, x = np.indices((SIDE, SIDE))
    mask = np.hypot(y - 44, x - 50) < 12
    noise = np.random.default_rng(0).normal(0, 0.5, mask.shape)
    return (20 + 10 * mask + noise).astype(np.float32), mask


@pytest.mark.parametrize("name", DISTORTIONS)
def test_masks_are_where_the_particles_are(disc, name):
    image, mask = DISTORTIONS[name](*disc)
    assert image.shape == mask.shape == (SIDE, SIDE)
    assert image.dtype == np.float32
    assert mask.dtype == bool
    contrast = image[mask].mean() - image[~mask].mean()
    assert (contrast < 0) == (name == "inverted")
    assert abs(contrast) > 0.3 * image.std()


def test_particles_become_larger_and_smaller(disc):
    area = disc[1].sum()
    assert DISTORTIONS["magnified"](*disc)[1].sum() == pytest.approx(FACTOR**2 * area, rel=0.1)
    # The smaller image is continued by its mirror image, so pieces of further particles appear.
    smaller = round(SIDE / FACTOR)
    reduced = DISTORTIONS["reduced"](*disc)[1][:smaller, :smaller].sum()
    assert reduced == pytest.approx(area / FACTOR**2, rel=0.1)


def test_reduction_keeps_the_corner_of_an_image(disc):
    """The disc's centre is (44, 50); a pixel's distance from the corner is its index and 1/2."""
    reduced = DISTORTIONS["reduced"](*disc)[1]
    smaller = round(SIDE / FACTOR)
    centre = np.argwhere(reduced[:smaller, :smaller]).mean(0)
    assert centre == pytest.approx([44.5 / FACTOR - 0.5, 50.5 / FACTOR - 0.5], abs=0.5)


def test_blur_takes_the_noise_of_single_pixels_away(disc):
    noise = np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32)
    assert DISTORTIONS["blurred"](noise, disc[1])[0].std() < 0.4


def test_the_input_does_not_change(disc):
    for distort in DISTORTIONS.values():
        image, mask = disc[0].copy(), disc[1].copy()
        distort(image, mask)
        assert np.array_equal(image, disc[0])
        assert np.array_equal(mask, disc[1])
