"""Power spectra of images, and the distances between them."""

from functools import partial

import numpy as np
import pytest

from passband.analysis import image_spectra
from passband.errors import PassbandError
from passband.prediction.covariance import Factor, spectrum_kernel


def test_a_spectrum_has_the_power_of_each_ring():
    random, px = np.random.default_rng(0), 64
    white = random.normal(size=(400, px, px))
    window = np.hanning(px + 1)[:-1]
    expected = np.log10((window**2).sum() ** 2)  # of white noise with variance 1
    powers = image_spectra.powers(white)
    assert powers.shape == (400, 32)
    np.testing.assert_allclose(image_spectra.spectrum(powers), expected, atol=0.02)
    wave = np.cos(2 * np.pi * 20.5 / px * np.arange(px)) * np.ones((1, px, 1))
    assert image_spectra.powers(wave)[0].argmax() == 20


def test_a_ring_without_power_has_a_millionth_of_the_mean():
    powers = np.ones((2, 3, 32))
    powers[..., 16:] = [[[1e-30]], [[1e-12]]]
    found = image_spectra.spectrum(powers)
    np.testing.assert_allclose(found[:, :16], 0)
    np.testing.assert_allclose(found[:, 16:], np.log10(0.5e-6))


def test_the_distance_knows_neither_lens_nor_dose_and_a_mixture_is_far():
    values = np.random.default_rng(0).normal(size=(9, 32))
    of = image_spectra.profiles([f"{k}" for k in range(9)], values)
    np.testing.assert_array_equal(np.stack([*of.parameters.values()], -1), values)
    assert of.T.size == of.bits.size == 0
    assert (of.log_dose == 0).all()
    kernel = spectrum_kernel(values)
    squared = kernel.squared(of, of)[0]
    np.testing.assert_allclose(squared[2, 5], ((values[2] - values[5]) ** 2).mean())
    assert kernel.lengths[0] == pytest.approx(np.sqrt(values.var(0).mean()))
    values[3] = np.nan
    cross, _ = Factor.of(image_spectra.profiles(of.ids, values), kernel).covariance(
        np.log([1.0, 0.3, 0.5])
    )
    np.testing.assert_allclose(cross[3, [0, 5]], 0.5)


def drawn(random, number, lens, bump=0.0):
    """Powers of images of a microscope; a bump is that of another material."""
    rings = np.arange(32)
    mean = 10 ** (2 + lens * np.cos(rings / 5) + bump * (rings == 12))
    return mean * random.gamma(20, 1 / 20, (number, 32))


def test_spectra_that_lenses_do_not_change_alike_are_unlike():
    powers = partial(drawn, np.random.default_rng(0))
    simulated = np.stack([powers(24, lens) for lens in np.linspace(-1, 1, 30)])
    for number in (4, 16):
        assert image_spectra.unlikeness(powers(number, 0.35), simulated) < 1.05
    assert image_spectra.unlikeness(powers(16, 0.35, 0.7), simulated) > 1.3
    few = image_spectra.unlikeness(powers(1, 0.35, 0.7), simulated)
    assert few < image_spectra.unlikeness(powers(16, 0.35, 0.7), simulated)


@pytest.mark.parametrize("numbers", [(16, 16), (16, 4), (3, 5)])
def test_images_of_two_materials_or_two_lenses_are_apart(numbers):
    powers = partial(drawn, np.random.default_rng(1))
    simulated = np.stack([powers(48, lens) for lens in np.linspace(-1, 1, 30)])
    one, other = (powers(number, 0.35) for number in numbers)
    assert image_spectra.apart(one, other, simulated) < 1.05
    assert image_spectra.apart(one, powers(numbers[1], 0.35, 0.7), simulated) > 1.3
    assert image_spectra.apart(one, powers(numbers[1], -0.35), simulated) > 1.3


@pytest.mark.slow
def test_one_in_fifty_pairs_of_a_microscope_is_beyond_the_limit():
    powers = partial(drawn, np.random.default_rng(2))
    simulated = np.stack([powers(48, lens) for lens in np.linspace(-1, 1, 60)])
    pairs = [[powers(8, 0.2), powers(8, 0.2)] for _ in range(300)]
    beyond = np.mean([image_spectra.apart(*pair, simulated) > 1 for pair in pairs])
    assert 0.003 < beyond < 0.06


def test_one_structure_has_no_pairs():
    random = np.random.default_rng(3)
    own = drawn(random, 4, 0.2)
    simulated = np.stack([drawn(random, 1, lens) for lens in np.linspace(-1, 1, 30)])
    with pytest.raises(PassbandError, match="the study has one structure; give one file"):
        image_spectra.apart(own, own, simulated)
