"""Least squares for the lens."""

import numpy as np
import pytest

from passband.micrographs.rings import ring_fit
from passband.micrographs.rings.azimuth_spectra import Spectrum
from passband.micrographs.rings.ring_fit import Shared, fit, phase_terms, rings
from passband.micrographs.rings.ring_model import Smooth
from passband.optics import ctf

ENERGY = 200e3
OWN = np.array([1500.0, 60.0, -40.0])  # defocus, and two parts of the astigmatism [Å]


def spectrum(own, cs, contrast=0.1, seed=0, number=6.0):
    """Return a spectrum of six sectors whose powers have the model's distribution."""
    ring, sector = np.meshgrid(np.arange(18, 130), np.arange(6), indexing="ij")
    q, azimuth = ring.ravel() / 280, (sector.ravel() + 0.5) * np.pi / 6
    shared = Shared(ENERGY, cs, contrast=contrast)
    seen = rings(phase_terms(ENERGY, q, azimuth), np.asarray(own), shared)
    expected = 1 + 6 * np.exp(-5 * q) * seen
    shape = np.full(len(q), number)
    power = expected * np.random.default_rng(seed).gamma(shape) / shape
    return Spectrum(q, azimuth, power, shape, 1 / 280, 1.0)


def model(own, cs, **options):
    return Smooth.of(spectrum(own, cs, **options), 0.06, 0.45)


def test_rings_are_the_square_of_the_optics_transfer():
    q, azimuth = np.linspace(0.05, 0.5, 50), np.linspace(0, 3, 50)
    optics = ctf.Optics(ENERGY, defocus=900, cs=1e7, c12=80, phi12=0.4)
    own = [900, 80 * np.cos(0.8), 80 * np.sin(0.8)]
    seen = rings(phase_terms(ENERGY, q, azimuth), np.array(own), Shared(ENERGY, 1e7, contrast=0))
    assert seen == pytest.approx(np.sin(ctf.aberration_phase(optics, q, azimuth)) ** 2)


def test_conventions_of_ctffind():
    """The transfer of CTFFIND4 (Rohou & Grigorieff, J. Struct. Biol. 192, 216, 2015, eqs 3 to 5).

    CTF(g) = −sin(χ + arctan(w/√(1 − w²))), χ = πλg²(Δf − ½λ²g²Cs), and
    Δf = ½(Δf₁ + Δf₂ + (Δf₁ − Δf₂)cos 2(α − α_ast)). Underfocus is positive. The azimuth α begins
    at the image's x axis, which is its second axis; here it begins at the first axis.
    """
    q, azimuth = np.linspace(0.05, 0.5, 60), np.linspace(0, 3, 60)
    defocus, c12, phi12, cs, w = 1200.0, 90.0, 0.3, 1e7, 0.1
    own = np.array([defocus, c12 * np.cos(2 * phi12), c12 * np.sin(2 * phi12)])
    mine = rings(phase_terms(ENERGY, q, azimuth), own, Shared(ENERGY, cs, contrast=w))
    lam = ctf.wavelength(ENERGY)
    first, second = defocus + c12, defocus - c12
    alpha = np.pi / 2 - azimuth  # the azimuth from the second axis towards the first one
    of_alpha = np.pi / 2 - (phi12 + np.pi / 2)  # the first defocus is across φ12
    here = 0.5 * (first + second + (first - second) * np.cos(2 * (alpha - of_alpha)))
    chi = np.pi * lam * q**2 * (here - 0.5 * lam**2 * q**2 * cs)
    theirs = np.sin(chi + np.arctan(w / np.sqrt(1 - w**2))) ** 2
    assert mine == pytest.approx(theirs, abs=1e-9)


def test_known_lens_is_found_within_its_errors():
    found = [
        fit([model(OWN, 1e7, seed=seed)], Shared(ENERGY, 1e7, contrast_std=0), [[1460, 0, 0]])
        for seed in range(12)
    ]
    off = np.array([each.own[0] - OWN for each in found])
    stds = np.array([np.sqrt(np.diag(each.own_covariance[0])) for each in found])
    assert np.abs(off).max() < 30
    assert np.mean(np.abs(off) < 1.96 * stds) > 0.8
    assert np.mean(np.abs(off) < 0.5 * stds) < 0.7
    assert np.mean([each.dispersions[0] for each in found]) == pytest.approx(1, abs=0.1)


def test_images_share_one_cs():
    lenses = [[1100, 0, 30], [1500, 50, 0], [1900, 0, 0]]
    models = [model(own, 1.1e7, seed=k) for k, own in enumerate(lenses)]
    shared = Shared(ENERGY, 0.9e7, fits_cs=True, contrast_std=0)
    starts = [[1070, 0, 0], [1460, 0, 0], [1860, 0, 0]]
    found = fit(models, shared, starts)
    assert found.shared.cs == pytest.approx(1.1e7, abs=4 * found.cs_std)
    assert found.cs_std < 5e5
    assert found.own[:, 0] == pytest.approx([1100, 1500, 1900], rel=0.02)
    alone = fit(models[:1], shared, starts[:1])
    assert alone.cs_std > found.cs_std


def test_an_unknown_amplitude_contrast_widens_the_errors():
    one = model(OWN, 1e7)
    narrow = fit([one], Shared(ENERGY, 1e7, contrast_std=0), [OWN])
    wide = fit([one], Shared(ENERGY, 1e7, contrast_std=0.05), [OWN])
    assert wide.own == pytest.approx(narrow.own)
    assert wide.own_covariance[0, 0, 0] > narrow.own_covariance[0, 0, 0]
    shifted = fit([one], Shared(ENERGY, 1e7, contrast=0.15), [OWN])
    moved = abs(shifted.own[0, 0] - narrow.own[0, 0])
    added = np.sqrt(wide.own_covariance[0, 0, 0] - narrow.own_covariance[0, 0, 0])
    assert added == pytest.approx(moved, rel=0.2)


def test_deviance_does_not_increase():
    one = model(OWN, 1e7)
    shared = Shared(ENERGY, 1e7)
    deviances = [fit([one], shared, [[1440, 0, 0]], steps=n).deviance for n in (1, 3, 10, 60)]
    assert deviances == sorted(deviances, reverse=True)
    assert shared.contrast == ring_fit.CONTRAST
