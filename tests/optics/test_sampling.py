"""The grid of pixels of waves and of images."""

import abtem
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passband.optics.sampling import ANTIALIAS, Sampling, rest

grids = st.builds(Sampling, st.integers(16, 2048), st.floats(0.02, 2))


def test_cutoff_is_abtems():
    assert abtem.config.get("antialias.cutoff") == pytest.approx(ANTIALIAS, abs=1e-7)
    waves = abtem.PlaneWave(gpts=48, sampling=0.25, energy=300e3).build(lazy=False)
    antialiased, _ = waves.antialias_cutoff_gpts
    assert Sampling(48, 0.25).half == antialiased // 2
    assert Sampling(48, 0.25).cutoff == pytest.approx(2 / 3 * 2.0)  # Nyquist is 1/(2 × 0.25 Å)


def test_field_is_pixels_times_their_size():
    assert Sampling(512, 0.2).field_A == pytest.approx(102.4)


@given(grids)
def test_cropped_spectrum_holds_the_band_and_no_more(grid):
    step = 1 / grid.field_A
    assert grid.half * step <= grid.cutoff * (1 + 1e-9)
    assert (grid.half + 1) * step > grid.cutoff * (1 + 1e-9)
    assert grid.cropped == 2 * grid.half + 1 <= grid.px


@pytest.mark.parametrize(("px", "half"), [(48, 16), (96, 32), (45, 15), (46, 15), (49, 16)])
def test_half_does_not_lose_the_cutoff_to_rounding(px, half):
    assert Sampling(px, 0.3).half == half


@given(grids, st.floats(0.3, 1))
def test_finer_grid_has_the_same_field_and_few_prime_factors(grid, share):
    finer = grid.finer(share * grid.pixel_A)
    assert finer.field_A == pytest.approx(grid.field_A, rel=1e-15)
    assert finer.pixel_A <= share * grid.pixel_A * (1 + 1e-8)
    assert finer.px >= grid.px
    assert rest(finer.px) == 1
    assert not any(rest(px) == 1 for px in range(int(grid.px / share) + 1, finer.px))


@pytest.mark.parametrize(
    ("px", "pixel", "expected"), [(128, 0.1, 384), (128, 0.3, 128), (128, 0.09, 432), (49, 0.3, 49)]
)
def test_finer_grids(px, pixel, expected):
    grid = Sampling(px, 0.3)
    assert grid.finer(pixel).px == expected
    assert (grid.finer(pixel) == grid) == (expected == px)


@pytest.mark.parametrize("px", [30, 31])
def test_frequencies_are_those_of_the_transform(px):
    grid = Sampling(px, 0.3)
    q, phi = grid.frequencies()
    k = np.fft.fftshift(np.fft.fftfreq(px, 0.3))[px // 2 - grid.half :][: grid.cropped]
    assert q.shape == phi.shape == (grid.cropped, grid.cropped)
    np.testing.assert_allclose(q * np.cos(phi), np.repeat(k[:, None], len(k), 1), atol=1e-12)
    np.testing.assert_allclose(q * np.sin(phi), np.repeat(k[None, :], len(k), 0), atol=1e-12)


@pytest.mark.parametrize("px", [24, 25])
@pytest.mark.parametrize("index", [(0, 0), (3, 0), (0, -5), (-8, 8), (7, 2)])
def test_crop_puts_a_plane_wave_where_its_frequency_is(px, index):
    grid = Sampling(px, 0.3)
    x = np.arange(px) / px
    wave = 0.7j * np.exp(2j * np.pi * (index[0] * x[:, None] + index[1] * x[None, :]))
    spectrum = grid.crop(np.stack([wave, 2 * wave]))
    expected = np.zeros((2, grid.cropped, grid.cropped), complex)
    expected[:, grid.half + index[0], grid.half + index[1]] = 0.7j, 1.4j
    np.testing.assert_allclose(spectrum, expected, atol=1e-13)


@pytest.mark.parametrize("px", [32, 45])
@pytest.mark.parametrize("fine", [90, 75])
def test_crop_of_a_finer_grids_wave_is_its_low_frequencies(px, fine):
    grid, random = Sampling(px, 0.4), np.random.default_rng(0)
    wave = random.normal(size=(fine, fine)) + 1j * random.normal(size=(fine, fine))
    centre, half = fine // 2, grid.half
    whole = np.fft.fftshift(np.fft.fft2(wave, norm="forward"))
    expected = whole[centre - half : centre + half + 1, centre - half : centre + half + 1]
    np.testing.assert_allclose(grid.crop(wave), expected, atol=1e-13)


def test_band_ends_at_the_cutoff():
    grid = Sampling(48, 0.3)
    assert grid.band.shape == (grid.cropped, grid.cropped)
    assert grid.band[0, grid.half], "on the axis"
    assert not grid.band[0, 0], "in the corner"
    disc = np.pi * grid.half**2 / grid.cropped**2
    assert grid.band.mean() == pytest.approx(disc, abs=0.01)


@pytest.mark.parametrize("px", [32, 45])
def test_restore_undoes_crop(px):
    grid, random = Sampling(px, 0.4), np.random.default_rng(0)
    shape = (2, grid.cropped, grid.cropped)
    spectrum = random.normal(size=shape) + 1j * random.normal(size=shape)
    wave = grid.restore(spectrum)
    assert wave.shape == (2, px, px)
    np.testing.assert_allclose(grid.crop(wave), spectrum, atol=1e-12)


def test_density_integrates_to_the_mean_intensity():
    """∫P d²q is the mean of |ψ|²; d²q is one step of frequency, 1/field, along each axis."""
    grid, random = Sampling(32, 0.4), np.random.default_rng(0)
    wave = grid.restore(random.normal(size=(grid.cropped, grid.cropped)) + 0j)
    density = grid.density(np.abs(grid.crop(wave)) ** 2)
    step = np.diff(np.fft.fftfreq(32, 0.4))[0]
    assert density.sum() * step**2 == pytest.approx((np.abs(wave) ** 2).mean())
