"""The model of a spectrum with rings."""

import numpy as np
import pytest

from passband.micrographs.rings.azimuth_spectra import Spectrum
from passband.micrographs.rings.ring_model import Smooth


def cells(rings, number=40.0, seed=0, exact=False):
    """Return a radial spectrum with known N and E, of rings(q)."""
    q = np.arange(12, 120) / 200
    expected = np.exp(-2 * q) + 3 * np.exp(-6 * q) * rings(q)
    shape = np.full(len(q), number)
    power = expected if exact else expected * np.random.default_rng(seed).gamma(shape) / shape
    return Spectrum(q, np.zeros(len(q)), power, shape, 1 / 200, 1.0)


def rings(q, rate=40.0):
    return np.sin(rate * q**2) ** 2


def test_exact_powers_are_fitted_exactly():
    model = Smooth.of(cells(rings, exact=True), 0.06, 0.6, True)
    deviance, c = model.fit(rings(model.spectrum.q)[None], 20)
    smooth, envelope = model.smooth_and_envelope(c[0])
    q = model.spectrum.q
    assert smooth + envelope * rings(q) == pytest.approx(model.spectrum.power, rel=0.03)
    seen = rings(q) > 0.5  # E is not determined where there is no ring
    assert envelope[seen] == pytest.approx(3 * np.exp(-6 * q[seen]), rel=0.25)
    assert deviance[0] < 5


def test_the_right_rings_have_the_lowest_deviance():
    model = Smooth.of(cells(rings), 0.06, 0.6, True)
    rates = np.arange(20, 80, 1.0)
    deviance, _ = model.fit(np.stack([rings(model.spectrum.q, rate) for rate in rates]))
    assert rates[deviance.argmin()] == 40
    half = np.full((1, len(model.spectrum.q)), 0.5)
    without = model.fit(half)[0][0]
    assert without - deviance.min() > 100


def test_deviance_of_the_truth_is_the_number_of_cells():
    """The deviance of a gamma distribution of large shape is a chi square of one degree."""
    spectra = [cells(rings, 200.0, seed) for seed in range(10)]
    found = []
    for spectrum in spectra:
        model = Smooth.of(spectrum, 0.06, 0.6, True)
        deviance, _ = model.fit(rings(spectrum.q)[None])
        found.append(deviance[0] / len(spectrum.q))
    assert np.mean(found) == pytest.approx(0.95, abs=0.15)


def test_coarser_knots_have_fewer_parameters():
    spectrum = cells(rings)
    fine, coarse = Smooth.of(spectrum, 0.06, 0.6, True), Smooth.of(spectrum, 0.06, 0.6, True, 2)
    assert len(coarse.start) < len(fine.start)
    assert len(Smooth.of(spectrum, 0.06, 0.6).start) == len(fine.start) + 4


def test_a_ring_of_a_lattice_is_not_mistaken_for_rings_of_a_lens():
    def peak(q):
        return np.exp(-(((q - 0.42) / 0.02) ** 2) / 2)

    crystal = Smooth.of(cells(peak), 0.06, 0.6, True)
    rates = np.arange(20, 80, 1.0)
    deviance, _ = crystal.fit(np.stack([rings(crystal.spectrum.q, rate) for rate in rates]))
    assert crystal.lattice() < deviance.min()
    film = Smooth.of(cells(rings), 0.06, 0.6, True)
    assert film.lattice() > film.fit(rings(film.spectrum.q)[None])[0][0] + 20
