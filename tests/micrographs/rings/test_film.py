"""Finding the background."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from passband import PassbandError
from passband.micrographs.rings import film

RNG = np.random.default_rng(0)
NOISE = RNG.poisson(60, (256, 256)).astype(float)
DISC = np.hypot(*np.indices((256, 256)) - 128.0) < 40


def test_noise_has_nothing_artificial():
    excluded, notes = film.artificial(NOISE)
    assert not excluded.any()
    assert notes == ()
    sparse = RNG.poisson(1.8, (256, 256))
    assert not film.artificial(sparse)[0].any()


def test_a_scale_bar_is_left_out_with_its_surroundings():
    marked = NOISE.copy()
    marked[230:240, 20:90] = 255
    excluded, notes = film.artificial(marked)
    assert excluded[225:245, 15:95].all()
    assert excluded.mean() < 0.2
    assert "scale bar" in notes[0]


def test_a_beam_stop_is_left_out():
    stopped = np.random.default_rng(1).poisson(60 * (1 - 0.95 * gaussian_filter(DISC * 1.0, 2)))
    excluded, notes = film.artificial(stopped)
    assert excluded[DISC].all()
    assert "beam stop" in notes[0]


def test_a_large_patch_of_one_value_is_left_out_without_the_rest():
    """A black corner, as in an aligned image, covers 10% of the image."""
    cornered = NOISE.copy()
    cornered[:80, :80] = 0
    excluded, _ = film.artificial(cornered)
    assert excluded[:80, :80].all()
    assert excluded.mean() < 0.25


def test_an_image_of_mostly_one_value_is_refused():
    half = NOISE.copy()
    half[:200] = 0
    with pytest.raises(PassbandError, match="at least a quarter must show the specimen"):
        film.artificial(half)


@pytest.mark.parametrize("name", ["brightness", "detail"])
def test_particles_are_left_out(name):
    image = NOISE.copy()
    if name == "brightness":
        image[DISC] -= 25
    else:
        image[DISC] += 30 * np.sin(np.arange(256) * 1.3)[None, :].repeat(256, 0)[DISC]
    found = film.backgrounds(image, 0.5, np.zeros(image.shape, bool))
    assert found["whole"].min() == 1
    weights = found[name]
    assert weights[DISC].mean() < 0.1
    assert weights[:40].mean() > 0.9


def test_noise_has_only_the_whole_background():
    assert list(film.backgrounds(NOISE, 0.5, np.zeros(NOISE.shape, bool))) == ["whole"]
