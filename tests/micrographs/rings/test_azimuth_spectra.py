"""Power spectra of the background."""

import numpy as np
import pytest

from passband.micrographs.rings import azimuth_spectra
from passband.micrographs.rings.azimuth_spectra import SECTORS, spectrum

WHOLE = np.ones((128, 128))


def noise(shape=(128, 128), seed=0):
    return np.random.default_rng(seed).normal(5, 2, shape)


def test_white_noise_has_its_variance_at_every_frequency():
    found = spectrum(noise(), 0.5, WHOLE, 60)
    assert np.average(found.power, weights=found.number) == pytest.approx(4, rel=0.06)
    scatter = np.sqrt(found.number) * (found.power / 4 - 1)
    assert 0.6 < scatter.std() < 1.3


def test_a_tone_is_in_the_cell_of_its_frequency_and_azimuth():
    x = np.arange(128)
    wave = 0.3 * np.cos(2 * np.pi * (20 * x[:, None] + 20 * x) / 128)
    found = spectrum(noise() / 20 + wave, 0.5, WHOLE, 60)
    spots = azimuth_spectra._SPOT
    azimuth_spectra._SPOT = np.inf
    try:
        with_spots = spectrum(noise() / 20 + wave, 0.5, WHOLE, 60)
    finally:
        azimuth_spectra._SPOT = spots
    k = with_spots.power.argmax()
    assert with_spots.q[k] == pytest.approx(np.hypot(20, 20) / 64, abs=0.02)
    assert with_spots.azimuth[k] == pytest.approx(np.pi / 4, abs=np.pi / SECTORS)
    assert found.power.max() < with_spots.power.max() / 3


def test_excluded_pixels_do_not_change_the_power():
    weights = WHOLE.copy()
    weights[40:80, 30:100] = 0
    spoilt = noise()
    spoilt[45:75, 35:95] += 100
    found = spectrum(spoilt, 0.5, weights, 8)
    inside = found.within(0.2, 0.9)
    assert np.average(inside.power, weights=inside.number) == pytest.approx(4, rel=0.07)
    assert found.number.sum() < spectrum(noise(), 0.5, WHOLE, 8).number.sum()


def test_merged_cells_keep_the_total():
    found = spectrum(noise(), 0.5, WHOLE, 8)
    for sectors, rings in ((1, 1), (6, 1), (1, 2)):
        merged = found.merged(sectors, rings)
        assert merged.number.sum() == pytest.approx(found.number.sum())
        total = (merged.power * merged.number).sum()
        assert total == pytest.approx((found.power * found.number).sum())
    assert len(found.merged().q) < len(found.q) / 6


def test_tiles_of_a_wide_image_are_averaged(monkeypatch):
    monkeypatch.setattr(azimuth_spectra, "LARGEST_TILE", 64)
    wide = noise((128, 192))
    found = spectrum(wide, 0.5, np.ones(wide.shape), 30)
    assert found.step == 1 / 32
    assert np.average(found.power, weights=found.number) == pytest.approx(4, rel=0.06)
    one = spectrum(wide[:64, :64], 0.5, np.ones((64, 64)), 30)
    assert 2 < found.number.sum() / one.number.sum() < 7
