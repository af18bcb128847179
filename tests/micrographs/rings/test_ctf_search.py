"""The exhaustive search."""

import numpy as np
import pytest

from passband.micrographs.rings import ctf_search
from passband.micrographs.rings.azimuth_spectra import Spectrum
from passband.micrographs.rings.ring_fit import Shared, phase_terms, rings

ENERGY = 200e3


def spectrum(own, cs):
    ring, sector = np.meshgrid(np.arange(18, 120), np.arange(12), indexing="ij")
    q, azimuth = ring.ravel() / 280, (sector.ravel() + 0.5) * np.pi / 12
    seen = rings(phase_terms(ENERGY, q, azimuth), np.asarray(own, float), Shared(ENERGY, cs))
    shape = np.full(len(q), 5.0)
    power = (1 + 6 * np.exp(-5 * q) * seen) * np.random.default_rng(0).gamma(shape) / shape
    return Spectrum(q, azimuth, power, shape, 1 / 280, 1.0)


def test_search_finds_defocus_and_cs():
    cells = spectrum([1500, 0, 0], 1e7)
    defocus, cs = (
        ctf_search.defoci(ENERGY, 0.42, cells.step, 2500),
        ctf_search.cs_grid(ENERGY, 0.42),
    )
    found = ctf_search.search(cells, 0.065, 0.42, Shared(ENERGY), defocus, cs)
    row, column = np.unravel_index(found.deviance.argmin(), found.deviance.shape)
    assert defocus[column] == pytest.approx(1500, abs=120)
    assert cs[row] == pytest.approx(1e7, abs=2.5e6)
    assert found.without - found.deviance.min() > 100


def test_search_finds_astigmatism_that_blurs_the_radial_spectrum():
    own = np.array([900.0, 250.0, 200.0])
    cells, shared = spectrum(own, 0), Shared(ENERGY)
    defocus = ctf_search.defoci(ENERGY, 0.42, cells.step, 2000)
    starts = ctf_search.astigmatic(cells, 0.065, 0.42, shared, defocus)
    near = [np.abs(start - own).max() < 150 for start in starts]
    mirrored = [np.abs(start + own).max() < 150 for start in starts]
    assert any(near) or any(mirrored)  # without Cs, both signs of all lengths are alike


def test_grid_of_the_defocus_is_symmetric_and_ends_where_rings_are_too_narrow():
    wide = ctf_search.defoci(ENERGY, 0.4, 1 / 280, 1e6)
    assert wide == pytest.approx(-wide[::-1])
    assert wide[-1] < 1e4
    assert 450 < ctf_search.defoci(ENERGY, 0.4, 1 / 280, 500)[-1] < 600


def test_minima_are_sorted():
    values = np.array([3.0, 1.0, 2.0, 0.5, np.inf, 4.0])
    assert ctf_search.minima(values).tolist() == [3, 1, 5]
