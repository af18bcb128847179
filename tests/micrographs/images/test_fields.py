"""Fields that are cut from images of a microscope, and images that are refused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from passband import PassbandError
from passband.config import Microscope
from passband.config.detector import DetectorNoise
from passband.micrographs.images import preparation
from passband.micrographs.images.fields import fields, thinned
from passband.micrographs.images.readers import Micrograph

MICROSCOPE = Microscope(field_px=64, pixel_size_A=0.4)
AVERAGED = MICROSCOPE.replaced("detector.noise", DetectorNoise(form="hann", width_A=1.0))
#: A network of a study with white noise, and one with averaged noise.
NETWORK, OF_AVERAGED = (
    SimpleNamespace(
        field_px=64,
        noise=each.detector.noise,
        pixel_size_A=0.4,
        finest_A=0.4,
        normalisation="zscore",
    )
    for each in (MICROSCOPE, AVERAGED)
)


def white(*shape, electrons=40):
    return np.random.default_rng(0).poisson(electrons, shape).astype(np.float32)


def of(images, pixel_size_A=0.4):
    return Micrograph(images, pixel_size_A, Path("a.npy"))


def test_a_large_image_has_many_fields_and_a_stack_one_in_each_image():
    image = white(1, 100, 200)
    found = fields(of(image), NETWORK, 16)
    assert found.shape == (3, 64, 64)
    np.testing.assert_array_equal(found[1], image[0, :64, 64:128])
    stack = white(20, 64, 64)
    found = fields(of(stack), NETWORK, 16)
    np.testing.assert_array_equal(found, stack[np.linspace(0, 19, 16).round().astype(int)])


def test_some_items_are_taken_at_regular_distances():
    assert thinned(range(5), 9) == [0, 1, 2, 3, 4]
    assert thinned(range(9), 3) == [0, 4, 8]


def test_finer_pixels_are_resampled_and_hot_ones_and_uneven_light_are_gone():
    image = white(1, 128, 128)
    found = fields(of(image, 0.2), NETWORK, 16)
    expected = preparation.resample(image[0], 0.2, 0.4)
    np.testing.assert_allclose(found, expected[None], rtol=1e-5)
    image = white(1, 64, 64)
    bright = image.copy()
    bright[0, 30, 30] = 1e5
    assert fields(of(bright), NETWORK, 16).max() < 1e3
    slope = np.linspace(0, 60, 64, dtype=np.float32)
    found = fields(of(image + slope), NETWORK, 16)
    assert np.abs(np.polyfit(np.arange(64), found[0].mean(0), 1)[0]) < 0.05


def test_white_noise_is_filtered_for_a_study_with_averaged_noise_and_averaged_noise_is_not():
    image = white(1, 64, 64)
    found = fields(of(image), OF_AVERAGED, 16)[0]
    noise = AVERAGED.detector.noise.middle
    np.testing.assert_allclose(found, preparation.filter_noise(image[0], 0.4, noise), rtol=1e-4)
    np.testing.assert_array_equal(fields(of(found[None]), OF_AVERAGED, 16)[0], found)


def framed():
    image = white(1, 128, 128)
    image[0, -12:] = 300
    return image


@pytest.mark.parametrize(
    ("images", "pixel_size_A", "message"),
    [
        (white(1, 128, 128), 0.5, r"a\.npy: has pixels of 0\.5 Å; must be at most 0\.4 Å"),
        (white(1, 128, 60), 0.4, r"a\.npy: has 128 × 60 pixels of 0\.4 Å; must have 64 × 64"),
        (framed(), 0.4, r"a\.npy: has a bar or a frame; .* 0:128,0:116"),
        (white(1, 64, 64).repeat(2, 1).repeat(2, 2), 0.4, r"a\.npy: was enlarged by repeating"),
        (
            preparation.filter_noise(white(128, 128), 0.4, DetectorNoise(form="hann", width_A=1.2))[
                None
            ],
            0.4,
            r"a\.npy: its noise was averaged \(slope -\d+\.\d\), and the study's noise is white",
        ),
    ],
)
def test_an_image_that_cannot_be_compared_is_one_line(images, pixel_size_A, message):
    with pytest.raises(PassbandError, match=message) as error:
        fields(of(images, pixel_size_A), NETWORK, 16)
    assert "\n" not in str(error.value)
