"""Vibration and the detector's MTF, compared with their definitions."""

import numpy as np
import pytest
import torch

from passband.imaging.imager import Imager
from passband.optics.ctf import Optics
from passband.optics.detector import blur, mtf, vibration
from passband.optics.sampling import Sampling

GRID = Sampling(48, 0.3)
TABLE = [[0.0, 1.0], [0.5, 0.8], [1.0, 0.4]]


def image(wave, given, dtype=torch.float64):
    imager = Imager(GRID, dtype=dtype, blur=given)
    return imager.intensity(torch.as_tensor(GRID.crop(wave[None, None])), Optics(300e3))[0].numpy()


def waves(index=(3, 5), amplitude=0.2):
    x = np.arange(48) / 48
    phase = 2 * np.pi * (index[0] * x[:, None] + index[1] * x[None, :])
    return 1 + amplitude * np.exp(1j * phase), np.cos(phase)


@pytest.mark.parametrize("form", ["gaussian", "lorentzian"])
@pytest.mark.parametrize("at_nyquist", [0.2, 0.5, 1.0])
def test_forms_are_one_at_zero_and_have_their_value_at_nyquist(form, at_nyquist):
    values = mtf(form, np.array([0.0, 1.0, np.sqrt(2)]), at_nyquist)
    assert values[:2] == pytest.approx([1, at_nyquist])
    expected = {"gaussian": at_nyquist**2, "lorentzian": 1 / (1 + 2 * (1 / at_nyquist - 1))}
    assert values[2] == pytest.approx(expected[form])


def test_a_gaussian_mtf_is_of_a_gaussian_point_spread():
    # A point spread of s pixels has MTF exp(−2π²s²ν²), ν = f/2 cycles a pixel.
    s = 0.6
    f = np.linspace(0, 1.4, 20)
    given = mtf("gaussian", f, np.exp(-(np.pi**2) * s**2 / 2))
    np.testing.assert_allclose(given, np.exp(-2 * np.pi**2 * s**2 * (f / 2) ** 2))


def test_a_table_is_interpolated_and_constant_beyond_its_end():
    values = mtf("table", np.array([0, 0.25, 0.75, 1, 1.4]), table=TABLE)
    np.testing.assert_allclose(values, [1, 0.9, 0.6, 0.4, 0.4])


def test_none_and_unknown():
    assert np.all(mtf("none", np.linspace(0, 1, 5)) == 1)
    with pytest.raises(
        ValueError, match=r"MTF 'sinc': must be none, gaussian, lorentzian or table"
    ):
        mtf("sinc", np.zeros(1))


def test_nothing_blurs_by_default():
    assert blur(GRID) is None
    assert blur(GRID, form="gaussian") is None
    assert blur(GRID, vibration_rms=0.1) is not None
    assert blur(GRID, form="table", table=TABLE) is not None


def test_vibration_is_an_average_over_displacements():
    # Moved by a normally distributed distance, cos 2πqx keeps exp(−2π²s²q²) of itself.
    moved = np.random.default_rng(1).normal(0, 0.3, 200_000)
    for q in (0.2, 0.6, 1.0):
        kept = np.cos(2 * np.pi * q * moved).mean()
        assert vibration(0.3, np.array(q)) == pytest.approx(kept, abs=5e-3)


@pytest.mark.parametrize("index", [(3, 5), (0, 9), (-7, 2), (11, 0)])
def test_fringes_keep_their_share_of_contrast_and_the_mean(index):
    # |1 + a·exp(iφ)|² = 1 + a² + 2a·cos φ.
    wave, cosine = waves(index)
    q = np.hypot(*index) / GRID.field_A
    kept = vibration(0.2, q) * mtf("lorentzian", q * 2 * GRID.pixel_A, 0.4)
    blurred = image(wave, blur(GRID, 0.2, "lorentzian", 0.4))
    np.testing.assert_allclose(blurred, 1 + 0.2**2 + 2 * 0.2 * kept * cosine, atol=1e-12)
    assert kept < 0.95


@pytest.mark.parametrize("px", [45, 48])
def test_any_grid_keeps_vacuum_at_one(px):
    grid = Sampling(px, 0.3)
    given = blur(grid, 0.5, "gaussian", 0.1)
    assert given.shape == (px, px // 2 + 1)
    vacuum = torch.as_tensor(grid.crop(np.ones((1, 1, px, px))))
    found = Imager(grid, blur=given).intensity(vacuum, Optics(300e3))
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_ringing_is_not_negative():
    x = np.zeros((48, 48))
    x[24, 24] = 48.0
    sharp = [[0.0, 1.0], [0.5, 1.0], [0.51, 0.0]]
    assert image(x, blur(GRID, form="table", table=sharp)).min() == 0
