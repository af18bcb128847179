"""The background of an image: planes, polynomials of degree 2 and flat fields."""

import numpy as np
import pytest

from passband.micrographs.images import background
from passband.micrographs.images.background import flatten_field, subtract


def places(shape=(120, 140)):
    return np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]


def field(particle=None, shape=(120, 140)):
    """Return noise of 1 around 0, and 1.5 in a particle (y, x, radius) [half fields]."""
    image = np.random.default_rng(0).normal(0, 1, shape)
    y, x = places(shape)
    if particle is not None:
        image[(y - particle[0]) ** 2 + (x - particle[1]) ** 2 < particle[2] ** 2] += 1.5
    return image.astype(np.float32)


PARTICLES = {
    "none": None,
    "a third of the width in the middle": (0, 0, 1 / 3),
    "at an edge": (0.2, -1, 0.6),
    "in a corner": (1, 1, 0.9),
    "more than half of the field": (0, 0, 0.9),
}


@pytest.mark.parametrize("particle", PARTICLES.values(), ids=PARTICLES)
def test_particles_are_no_background(particle):
    image = field(particle)
    found, taken = subtract(image)
    assert found is image
    assert taken.kind == "none"
    assert taken.height_sd < 0.5


@pytest.mark.parametrize("particle", list(PARTICLES.values())[:4], ids=list(PARTICLES)[:4])
@pytest.mark.parametrize("height", [1.5, 4.0])
def test_a_plane_is_taken_off(particle, height):
    image = field(particle)
    y, x = places()
    slope = height * image.std() * (0.7 * x - 0.3 * y) / 2
    found, taken = subtract((image + slope + 50).astype(np.float32))
    assert taken.kind == "plane"
    assert taken.height_sd == pytest.approx(height, abs=0.5)
    left = found - image
    assert np.ptp(left) < min(0.5, height / 2) * image.std()
    assert found.mean() == pytest.approx((image + slope + 50).mean(), abs=1e-3)


def test_a_low_plane_stays_bit_for_bit():
    y, x = places()
    for height, kind in ((0.5, "none"), (0.9, "plane")):
        image = field() + (height * x / 2).astype(np.float32) + 0 * y.astype(np.float32)
        found, taken = subtract(image)
        assert taken.kind == kind
        assert (found is image) is (kind == "none")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("particle", list(PARTICLES.values())[:3], ids=list(PARTICLES)[:3])
def test_a_vignette_is_taken_off(sign, particle):
    image = field(particle)
    y, x = places()
    found, taken = subtract((image + sign * 1.5 * (x**2 + y**2) + 0.4 * x).astype(np.float32))
    assert taken.kind == "quadratic"
    assert np.ptp(found - image) < 0.8


def test_a_saddle_is_no_vignette():
    """The corners of a lens are all dark, or all bright."""
    y, x = places()
    _, taken = subtract((field() + 3 * x * y).astype(np.float32))
    assert taken.kind != "quadratic"


def test_fine_noise_does_not_hide_a_background():
    """The noise of pixels that are finer than the network's is averaged before it counts."""
    y, x = places()
    image = (field() + 0.2 * x + 0 * y).astype(np.float32)
    assert subtract(image)[1].kind == "none"
    found, taken = subtract(image, step=4)
    assert taken.kind == "plane"
    assert taken.height_sd > 0.8
    assert found.shape == image.shape


@pytest.mark.parametrize("shape", [(32, 32), (33, 200), (500, 40), (11, 64)])
def test_images_of_any_shape(shape):
    y, x = places(shape)
    image = np.random.default_rng(0).normal(0, 1, shape) + 3 * x + 0 * y
    found, taken = subtract(image.astype(np.float32))
    assert taken.kind == "plane"
    assert abs(np.polyfit(np.arange(shape[1]), found.mean(0), 1)[0]) * shape[1] < 1.2


def test_words_say_what_was_done():
    words = str(background.Background("plane", 1.234))
    assert words == "a plane of 1.2 standard deviations taken off"
    assert str(background.Background()) == "no background taken off"


# The flat field


def poisson(mean, shape=None) -> np.ndarray:
    """Return counts: an image of one mean if `mean` is a number."""
    shape = shape or np.shape(mean) or (400, 400)
    return np.random.default_rng(0).poisson(mean, shape).astype(np.float32)


def particles(shape: tuple[int, int], electrons: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    scene = np.ones(shape)
    for row, column, radius in ((80, 90, 40), (250, 300, 50), (300, 60, 30)):
        scene[(y - row) ** 2 + (x - column) ** 2 < radius**2] = 0.7
    return scene * electrons


@pytest.mark.parametrize("shape", [(400, 400), (401, 523)])
@pytest.mark.parametrize("width", [0.8, 1.5])
def test_a_gaussian_beam_is_flattened_and_particles_stay(shape, width):
    y, x = np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])
    beam = np.exp(-((x - 0.3) ** 2 + (y + 0.2) ** 2) / (2 * width**2))
    scene = particles(shape, 50)
    flat = flatten_field(poisson(scene * beam))
    truth = scene * (flat.mean() / scene.mean())
    for rows in np.array_split(np.arange(shape[0]), 8):  # edges and corners are as good
        for columns in np.array_split(np.arange(shape[1]), 8):
            part = np.ix_(rows, columns)
            assert flat[part].mean() == pytest.approx(truth[part].mean(), rel=0.03)


def test_the_mean_stays_and_a_flat_image_stays_flat():
    image = poisson(particles((400, 300), 30))
    flat = flatten_field(image)
    assert flat.mean(dtype=float) == pytest.approx(image.mean(dtype=float), rel=1e-5)
    assert np.sqrt(((flat / image.clip(1) - 1) ** 2).mean()) < 0.02
    assert flat.dtype == np.float32


def test_an_image_whose_mean_was_subtracted_is_flattened_by_subtraction():
    y, x = np.linspace(-1, 1, 200)[:, None], np.linspace(-1, 1, 220)
    noise = np.random.default_rng(0).normal(size=(200, 220)).astype(np.float32)
    flat = flatten_field((noise + 2 * x - y + x**2).astype(np.float32))
    np.testing.assert_allclose(flat - flat.mean(), noise - noise.mean(), atol=0.1)
