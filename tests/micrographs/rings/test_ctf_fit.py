"""The lens of images."""

import numpy as np
import pytest
from carbon_images import ENERGY_EV, PIXEL_A, film_image, specks
from real_data import real

from passband import PassbandError
from passband.micrographs.images import readers
from passband.micrographs.rings import ctf_fit
from passband.micrographs.rings.ctf_fit import Settings, measure, prepare


def lens_of(image, settings):
    (found,) = measure([prepare(image, PIXEL_A, settings)], settings)
    return found


def test_defocus_and_astigmatism_are_measured():
    image = film_image(defocus=600, c12=50, phi12=0.5)
    found = lens_of(image, Settings(ENERGY_EV, 0.0, contrast=0.0, most_A=1500))
    value, low, high = found.defocus_A(1)
    assert value == pytest.approx(600, abs=10)
    assert low < value < high
    best = found.of_sign(1)[0]
    assert best.astigmatism_A == pytest.approx(50, abs=10)
    assert best.azimuth == pytest.approx(0.5, abs=0.15)
    assert found.likelihoods[1] == pytest.approx(0.5, abs=0.01)
    assert found.defocus_A(-1)[0] == pytest.approx(-value, abs=2)


@pytest.mark.slow
def test_a_large_cs_determines_the_sign():
    image = film_image(defocus=-400, cs=1.2e7, seed=1)
    found = lens_of(image, Settings(ENERGY_EV, 1.2e7, most_A=1500))
    assert found.likelihoods[-1] > 0.99
    assert found.defocus_A()[0] == pytest.approx(-400, abs=15)


@pytest.mark.slow
def test_the_sign_that_the_user_gives_is_used():
    image = film_image(defocus=600)
    found = lens_of(image, Settings(ENERGY_EV, 0.0, sign=-1, most_A=1500))
    assert found.defocus_A()[0] == pytest.approx(-600, abs=25)
    assert found.likelihoods == {1: 0.0, -1: 1.0}


@pytest.mark.slow
def test_noise_has_no_rings():
    settings = Settings(ENERGY_EV, 0.0, most_A=1500)
    for seed in range(2):
        noise = np.random.default_rng(seed).poisson(30, (256, 256)).astype(float)
        found = lens_of(noise, settings)
        assert not found.is_visible
        assert found.gain < ctf_fit.VISIBLE


def test_nothing_beyond_an_aperture_is_used():
    image = film_image(px=384, defocus=400, aperture=9.0, dose=4000)
    prepared = prepare(image, PIXEL_A, Settings(ENERGY_EV, 0.0, most_A=1500))
    edge = 9e-3 / 0.019687
    assert prepared.high == pytest.approx(edge, abs=0.03)
    given = prepare(image, PIXEL_A, Settings(ENERGY_EV, 0.0, aperture_mrad=7, most_A=1500))
    assert given.high < 7e-3 / 0.019687


def test_an_image_with_too_few_frequencies_is_refused():
    with pytest.raises(PassbandError, match="the spectrum has too few frequencies for rings"):
        prepare(film_image(px=32), PIXEL_A, Settings(ENERGY_EV))


@pytest.mark.slow
def test_an_image_with_too_little_background_is_refused():
    with pytest.raises(PassbandError, match=r"10.0% of the image is background, .* too little"):
        prepare(specks(), 0.1, Settings(ENERGY_EV, 0.0, most_A=1500))


def test_a_background_that_is_too_small_does_not_replace_the_whole(monkeypatch):
    whole = np.ones((256, 256))
    found = {"whole": whole, "detail": np.zeros_like(whole)}
    monkeypatch.setattr(ctf_fit.film, "backgrounds", lambda *_: found)
    assert prepare(film_image(), PIXEL_A, Settings(ENERGY_EV, 0.0, most_A=1500)).found_by == "whole"


@pytest.mark.slow
def test_a_sliver_of_film_has_no_rings():
    """All its frequencies together hold hardly any information about rings."""
    image = np.zeros((238, 130))
    image[158:] = np.random.default_rng(0).normal(size=(80, 130))
    settings = Settings(ENERGY_EV)
    assert not measure([prepare(image, 0.232, settings)], settings)[0].is_visible


@pytest.mark.slow
def test_real_micrographs_have_the_defocus_of_their_visible_minima():
    images = real("micrographs", "images")
    settings = Settings(200e3, 1.04e7)
    for name, stated in (("test_1", 1530), ("train_0", 2000)):
        image = readers.read(images / f"{name}.png", 0.564).images[0]
        found = measure([prepare(image, 0.564, settings)], settings)[0]
        assert found.defocus_A()[0] == pytest.approx(stated, rel=0.03)
        assert found.likelihoods[1] > 0.99
