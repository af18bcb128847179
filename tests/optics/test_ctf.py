"""The contrast transfer function compared with analytic values, published values and abTEM's."""

from dataclasses import replace

import abtem
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from passband.optics import ctf
from passband.optics.ctf import Optics
from passband.optics.sampling import Sampling

GRID = Sampling(64, 0.25)
Q, PHI = GRID.frequencies()
ROUND = Optics(energy=300e3, defocus=200, cs=1e5, aperture=20, focal_spread=40, source_spread=0.2)

angles = st.floats(-np.pi, np.pi)
optics = st.builds(
    Optics,
    energy=st.floats(60e3, 400e3),
    defocus=st.floats(-2000, 2000),
    cs=st.floats(-1e7, 1e7),
    aperture=st.floats(5, 60),
    aperture_edge=st.one_of(st.just(0.0), st.floats(0.1, 3)),
    focal_spread=st.floats(0, 100),
    source_spread=st.floats(0, 1),
    c12=st.floats(0, 500),
    phi12=angles,
    c21=st.floats(0, 5e3),
    phi21=angles,
    c23=st.floats(0, 5e3),
    phi23=angles,
)


def random_optics(seed):
    """Return optics with random values of every aberration, the coherence and the aperture."""
    rng = np.random.default_rng(seed)
    return Optics(
        energy=rng.choice([80e3, 200e3, 300e3]),
        defocus=rng.uniform(-600, 600),
        cs=rng.choice([12.0, 1e3, 1e5, 1e7]) * rng.choice([-1, 1]),
        aperture=rng.uniform(8, 40),
        focal_spread=rng.uniform(10, 60),
        source_spread=rng.uniform(0.05, 0.6),
        c12=rng.uniform(0, 200),
        phi12=rng.uniform(-np.pi, np.pi),
        c21=rng.uniform(0, 3e3),
        phi21=rng.uniform(-np.pi, np.pi),
        c23=rng.uniform(0, 3e3),
        phi23=rng.uniform(-np.pi, np.pi),
    )


def abtem_kernel(given: Optics, soft=False, **parts):
    """Return abTEM's transfer function: the result of apply_ctf for a wave of equal coefficients.

    abTEM uses ASE's physical constants (CODATA 2014). With these constants, λ is relatively 5e-9
    shorter. abTEM therefore gets the energy at which its λ equals Passband's λ.
    """
    u = abtem.core.energy.units
    rest = u._me * u._c**2 / u._e
    momentum = u._hplanck * u._c / u._e * 1e10 / ctf.wavelength(given.energy)
    energy = float(np.hypot(rest, momentum) - rest)
    delta = np.zeros((GRID.px, GRID.px), complex)
    delta[0, 0] = GRID.px**2
    with abtem.config.set({"precision": "float64", "fft": "numpy"}):
        lens = abtem.CTF(energy=energy, soft=soft, **parts)
        waves = abtem.Waves(delta, energy=energy, sampling=GRID.pixel_A)
        return GRID.crop(waves.apply_ctf(lens).array)


def abtem_aberrations(given: Optics):
    return {
        "C10": -given.defocus,
        "C30": given.cs,
        "C12": given.c12,
        "phi12": given.phi12,
        "C21": given.c21,
        "phi21": given.phi21,
        "C23": given.c23,
        "phi23": given.phi23,
    }


# Wavelength


@pytest.mark.parametrize(
    ("energy_kev", "pm"),
    # JEOL, Glossary of TEM terms, "wavelength of electron", table 1.
    [(60, 4.8661), (80, 4.1757), (100, 3.7014), (200, 2.5079), (300, 1.9687), (1000, 0.87192)],
)
def test_wavelength_is_the_published_one(energy_kev, pm):
    digits = 5 if energy_kev == 1000 else 4
    assert round(ctf.wavelength(energy_kev * 1e3) * 100, digits) == pm


@pytest.mark.parametrize("energy", [0, -300e3, np.nan])
def test_wavelength_refuses_an_energy_that_is_not_positive(energy):
    with pytest.raises(ValueError, match=r"energy .* eV is not positive"):
        ctf.wavelength(energy)


# Aberration phase


@pytest.mark.parametrize("energy", [100e3, 200e3, 300e3])
@pytest.mark.parametrize("cs", [1.2e4, 1.2e7])
def test_scherzer_defocus(energy, cs):
    lam = ctf.wavelength(energy)
    scherzer = Optics(energy, defocus=np.sqrt(4 / 3 * cs * lam), cs=cs)
    q = np.linspace(1e-4, 1.6 * cs**-0.25 * lam**-0.75, 20001)
    chi = ctf.aberration_phase(scherzer, q)
    # The phase is stationary at −120°, and sin χ is first zero at the point resolution
    # 0.66·Cs^¼·λ^¾ (Williams & Carter, Transmission Electron Microscopy, 2nd ed., ch. 28).
    assert chi.min() == pytest.approx(-2 * np.pi / 3, rel=1e-6)
    first = np.argmax(np.sin(chi) >= 0)
    zero = brentq(
        lambda q: np.sin(ctf.aberration_phase(scherzer, q)), q[first - 1], q[first], xtol=1e-14
    )
    assert zero == pytest.approx((16 / 3) ** 0.25 * cs**-0.25 * lam**-0.75, rel=1e-9)
    assert round(1 / zero / (cs**0.25 * lam**0.75), 2) == 0.66


@pytest.mark.parametrize(("defocus", "resolution"), [(1.0, 0.707), (1.5, 0.64)])
def test_resolution_at_scherzers_and_at_the_extended_defocus(defocus, resolution):
    """At a defocus of √(Csλ) and of √(1.5·Csλ), transfer first is zero at 0.707 and at 0.64 of
    Cs^¼·λ^¾, and at the second it falls to 70% at 0.67 (M. A. O'Keefe, message to the 3DEM list, 4
    December 2000)."""
    lam, cs = ctf.wavelength(200e3), 1e7
    unit = cs**0.25 * lam**0.75
    given = Optics(200e3, defocus=np.sqrt(defocus * cs * lam), cs=cs)
    d = np.linspace(10, 0.5, 200_001) * unit
    transfer = np.sin(ctf.aberration_phase(given, 1 / d))
    assert round(d[np.argmax(transfer > 0)] / unit, 3 if resolution == 0.707 else 2) == resolution
    if defocus == 1.5:
        assert ctf.transfer(given, 1 / (0.67 * unit)) == pytest.approx(-0.7, abs=0.005)


def test_kirklands_scherzer_condition():
    """At 200 keV and Cs 1.3 mm, Kirkland's image of five atoms has a defocus of 700 Å and an
    aperture of 10.37 mrad (*Advanced Computing in Electron Microscopy*, 2nd ed., fig. 5.12):
    √(1.5·Csλ), where χ = −¾π is stationary, and (6λ/Cs)^¼, where sin χ is first zero."""
    given = Optics(200e3, defocus=700, cs=1.3e7)
    lam = ctf.wavelength(200e3)
    assert np.sqrt(1.5 * 1.3e7 * lam) == pytest.approx(700, abs=1)
    mrad = np.linspace(0.1, 11, 100_000)
    chi = ctf.aberration_phase(given, mrad * 1e-3 / lam)
    assert chi.min() == pytest.approx(-0.75 * np.pi, abs=0.01)
    assert mrad[np.argmax(chi >= 0)] == pytest.approx(10.37, abs=0.01)


def test_limits_of_the_one_angstrom_microscope():
    """At 300 kV and Cs 0.6 mm, the resolution at Scherzer's defocus is 1.7 Å; a spread of focus of
    36 Å (standard deviation) limits information at 1.07 Å, one of 20 Å at 0.78 Å, where the
    temporal envelope is exp(−2) (O'Keefe et al., *Ultramicroscopy* 89, 215, 2001)."""
    lam = ctf.wavelength(300e3)
    d = np.linspace(3, 0.5, 100_000)
    given = Optics(300e3, defocus=np.sqrt(1.5 * 6e6 * lam), cs=6e6)
    assert round(d[np.argmax(ctf.transfer(given, 1 / d) > 0)], 1) == 1.7
    for deviation, limit in ((36, 1.07), (20, 0.78)):
        spread = Optics(300e3, focal_spread=np.sqrt(2) * deviation)
        found = d[np.argmax(ctf.temporal_envelope(spread, 1 / d) < np.exp(-2))]
        assert found == pytest.approx(limit, abs=0.02)


def test_positive_defocus_is_underfocus():
    # Without Cs: χ = −πλ·defocus·q².
    chi = ctf.aberration_phase(Optics(300e3, defocus=100), np.array([0.5]))
    assert chi == pytest.approx(-np.pi * 0.0196875 * 100 * 0.25, rel=1e-5)


@pytest.mark.parametrize(
    ("aberration", "order", "folds"), [("c12", 2, 2), ("c21", 3, 1), ("c23", 3, 3)]
)
def test_aberrations_have_their_order_and_their_azimuth(aberration, order, folds):
    angle = f"phi{aberration[1:]}"
    given = Optics(300e3, **{aberration: 1000.0, angle: 0.3})
    lam, q, phi = ctf.wavelength(300e3), 0.4, np.linspace(-np.pi, np.pi, 37)
    expected = 2 * np.pi / lam * 1000 * (lam * q) ** order / order * np.cos(folds * (phi - 0.3))
    np.testing.assert_allclose(ctf.aberration_phase(given, q, phi), expected, atol=1e-12)


@pytest.mark.parametrize("aberration", ["c12", "c21", "c23"])
def test_aberrations_lie_along_x_by_default(aberration):
    """The phase is symmetric about the azimuth 0, and has an extremum there that is not zero."""
    lens = Optics(energy=300e3, **{aberration: 100.0})
    phi = np.linspace(-np.pi, np.pi, 721)
    phase = ctf.aberration_phase(lens, 0.5, phi)
    np.testing.assert_allclose(phase, phase[::-1], atol=1e-12)
    assert abs(phase[360]) == pytest.approx(np.abs(phase).max())


@given(optics, st.floats(0.01, 1.5), angles)
def test_gradient_is_the_derivative_of_the_phase(given, q, phi):
    # Differences along the imaginary axis: f′(x) = Im f(x + ih)/h, without cancellation.
    h, lam = 1e-30, ctf.wavelength(given.energy)
    radial, azimuthal = ctf.aberration_gradient(given, q, phi)
    along_q = ctf.aberration_phase(given, q + 1j * h, phi).imag / h / lam
    along_phi = ctf.aberration_phase(given, q, phi + 1j * h).imag / h / (lam * q)
    scale = np.abs(given.defocus) + np.abs(given.cs) * (lam * q) ** 2 + 1000
    tolerance = 1e-12 * 2 * np.pi * q * scale
    assert abs(radial - along_q) <= tolerance
    assert abs(azimuthal - along_phi) <= tolerance


@given(optics, st.floats(0.01, 1.5), angles)
def test_phase_and_gradient_are_sums_over_the_basis(given, q, phi):
    numbers = ctf.coefficients(given)
    found = numbers @ ctf.basis(given.energy, q, phi).T
    expected = (
        ctf.aberration_phase(given, q, phi),
        *ctf.aberration_gradient(given, q, phi),
    )
    size = np.abs(numbers) @ np.abs(ctf.basis(given.energy, q, phi)).max(0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * size)


# Aperture


def test_hard_aperture_passes_up_to_its_semiangle():
    given = Optics(300e3, aperture=10)
    edge = 10e-3 / ctf.wavelength(300e3)
    q = edge * np.array([0, 0.5, 1 - 1e-9, 1 + 1e-9, 2])
    assert ctf.aperture(given, q).tolist() == [1, 1, 1, 0, 0]


def test_no_aperture_passes_everything():
    assert ctf.aperture(Optics(300e3), Q).min() == 1


def test_soft_aperture_falls_linearly_over_its_edge():
    given = Optics(300e3, aperture=10, aperture_edge=2)
    mrad = np.array([0, 8.99, 9, 9.5, 10, 10.5, 11, 11.01, 30])
    passed = ctf.aperture(given, mrad * 1e-3 / ctf.wavelength(300e3))
    np.testing.assert_allclose(passed, [1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0], atol=1e-9)


def test_soft_aperture_is_abtems_when_its_edge_is_a_pixel():
    edge = ctf.wavelength(300e3) / GRID.field_A * 1e3
    given = Optics(300e3, aperture=14, aperture_edge=edge)
    theirs = abtem_kernel(given, soft=True, semiangle_cutoff=14)
    np.testing.assert_allclose(theirs, ctf.aperture(given, Q), atol=1e-6)
    assert np.any((theirs.real > 0.1) & (theirs.real < 0.9))


# Envelopes and the whole, against abTEM


@pytest.mark.parametrize("seed", range(8))
def test_parts_are_abtems(seed):
    given = random_optics(seed)
    aberrations = abtem_aberrations(given)
    for theirs, ours in (
        (abtem_kernel(given, semiangle_cutoff=given.aperture), ctf.aperture(given, Q)),
        (
            abtem_kernel(given, focal_spread=given.focal_spread),
            ctf.temporal_envelope(given, Q),
        ),
        (
            np.abs(abtem_kernel(given, angular_spread=given.source_spread, **aberrations)),
            ctf.spatial_envelope(given, Q, PHI),
        ),
        (
            abtem_kernel(given, **aberrations),
            np.exp(-1j * ctf.aberration_phase(given, Q, PHI)),
        ),
        (
            abtem_kernel(
                given,
                semiangle_cutoff=given.aperture,
                focal_spread=given.focal_spread,
                angular_spread=given.source_spread,
                **aberrations,
            ),
            ctf.envelope(given, Q, PHI) * np.exp(-1j * ctf.aberration_phase(given, Q, PHI)),
        ),
    ):
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)
        assert np.ptp(np.abs(ours)) > 0.1 or np.ptp(np.angle(ours)) > 0.1  # something to compare


@pytest.mark.slow
def test_200_random_envelopes_are_abtems():
    largest = 0.0
    for seed in range(1000, 1200):
        given = random_optics(seed)
        aberrations = abtem_aberrations(given)
        theirs = abtem_kernel(given, focal_spread=given.focal_spread)
        largest = max(largest, np.abs(theirs - ctf.temporal_envelope(given, Q)).max())
        theirs = np.abs(abtem_kernel(given, angular_spread=given.source_spread, **aberrations))
        largest = max(largest, np.abs(theirs - ctf.spatial_envelope(given, Q, PHI)).max())
    assert largest < 1e-6


def test_temporal_envelope_is_1_over_e_at_its_analytic_place():
    q = np.sqrt(2 / (np.pi * ctf.wavelength(300e3) * 40))
    assert ctf.temporal_envelope(ROUND, q) == pytest.approx(np.exp(-1))


def test_spatial_envelope_of_pure_defocus():
    # ∇χ = 2π·C10·α/λ, so that E_s = exp[−(πβ·C10·q)²].
    given = Optics(300e3, defocus=-500, source_spread=0.4)
    np.testing.assert_allclose(
        ctf.spatial_envelope(given, Q, PHI), np.exp(-((np.pi * 0.4e-3 * 500 * Q) ** 2))
    )


@given(optics)
def test_transfer_lies_within_the_envelope(given):
    bound = ctf.envelope(given, Q, PHI)
    transfer = ctf.transfer(given, Q, PHI)
    assert bound.min() >= 0
    assert bound.max() <= 1
    assert np.all(np.abs(transfer) <= bound)
    np.testing.assert_allclose(
        transfer, bound * np.sin(ctf.aberration_phase(given, Q, PHI)), atol=1e-12
    )


def test_nothing_is_transferred_in_focus_without_aberrations():
    assert np.all(ctf.transfer(Optics(300e3, focal_spread=30, source_spread=0.1), Q) == 0)


# Focal series


@given(optics, st.integers(1, 30))
def test_focal_series_has_the_distributions_moments(given, members):
    series = ctf.focal_series(given, members)
    weights = np.array([weight for weight, _ in series])
    shift = np.array([member.defocus - given.defocus for _, member in series])
    assert np.all(weights > 0)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights @ shift == pytest.approx(0, abs=1e-8)
    if members > 1:  # the variance of exp(−δ²/Δ²) is ½Δ²
        assert weights @ shift**2 == pytest.approx(given.focal_spread**2 / 2, rel=1e-6, abs=1e-7)
    for _, member in series:
        assert replace(member, defocus=0, focal_spread=0) == replace(
            given, defocus=0, focal_spread=0
        )
        assert member.focal_spread == 0


def test_focal_series_without_spread_is_one_member():
    given = replace(ROUND, focal_spread=0.0)
    assert ctf.focal_series(given, 7) == [(1.0, given)]


def linear(given, members, q):
    """Return the transfer of the linear terms of image intensity by a focal series."""
    return sum(w * ctf.transfer(member, q) for w, member in ctf.focal_series(given, members))


def test_focal_series_damps_linear_terms_as_the_envelope_does():
    given = replace(ROUND, source_spread=0.0)
    q = np.linspace(0, 1.0, 500)
    np.testing.assert_allclose(linear(given, 24, q), ctf.transfer(given, q), atol=1e-9)
    assert np.abs(linear(given, 1, q) - ctf.transfer(given, q)).max() > 0.1


@settings(max_examples=30)
@given(
    st.floats(0, 100), st.floats(0.3, 1.2), st.floats(5, 40), st.sampled_from([0.001, 0.01, 0.1])
)
def test_members_needed_is_the_least_that_is_enough(spread, q_max, aperture, tolerance):
    given = Optics(300e3, focal_spread=spread, aperture=aperture)
    needed = ctf.members_needed(given, q_max, tolerance)
    q = np.linspace(0, min(q_max, aperture * 1e-3 / ctf.wavelength(300e3)), 200)

    def error(members):
        series = ctf.focal_series(given, members)
        # A linear term's phase in a member, less its phase in focus, is πλq²δ.
        damping = sum(w * np.cos(ctf.aberration_phase(member, q)) for w, member in series)
        return np.abs(damping - ctf.temporal_envelope(given, q)).max()

    assert error(needed) <= tolerance + 1e-9
    if needed > 1:
        assert error(needed - 1) > tolerance - 1e-9


def test_members_needed_grows_with_spread_and_band():
    def needed(spread, q_max):
        return ctf.members_needed(Optics(300e3, focal_spread=spread), q_max)

    assert needed(0, 1.0) == 1
    assert needed(20, 1.0) < needed(80, 1.0)
    assert needed(40, 0.4) < needed(40, 1.0)


# Displacement


def test_displacement_of_pure_defocus_is_defocus_times_angle():
    optics = ctf.Optics(300e3, defocus=400, aperture=10)
    assert ctf.displacement(optics) == pytest.approx(400 * 10e-3, rel=1e-6)


def test_displacement_of_pure_cs_is_cs_times_angle_cubed():
    optics = ctf.Optics(300e3, cs=1e7, aperture=12)
    assert ctf.displacement(optics) == pytest.approx(1e7 * 12e-3**3, rel=1e-6)


def test_defocus_makes_up_for_cs():
    """Lichte's defocus, ¾ Cs α², brings the largest displacement to a quarter (Ultramicroscopy 38,
    13, 1991)."""
    alone = ctf.Optics(300e3, cs=1e7, aperture=12)
    lichte = ctf.Optics(300e3, cs=1e7, aperture=12, defocus=0.75 * 1e7 * 12e-3**2)
    assert ctf.displacement(lichte) == pytest.approx(ctf.displacement(alone) / 4, rel=1e-3)


@given(
    defocus=st.floats(-2000, 2000),
    cs=st.floats(-1e8, 1e8),
    aperture=st.floats(1, 30),
    edge=st.floats(0, 1),
)
def test_displacement_of_a_round_lens_is_the_largest_of_many_angles(defocus, cs, aperture, edge):
    optics = Optics(300e3, defocus=defocus, cs=cs, aperture=aperture, aperture_edge=edge)
    angles = np.linspace(0, (aperture + edge / 2) * 1e-3, 2000)
    found = np.abs(cs * angles**3 - defocus * angles).max()
    assert ctf.displacement(optics) == pytest.approx(found, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("aberration", ["c12", "c21", "c23"])
def test_displacement_counts_aberrations_that_are_not_round(aberration):
    given = Optics(300e3, aperture=20, **{aberration: 1e4, f"phi{aberration[1:]}": 1.0})
    order = 1 if aberration == "c12" else 2
    # |∇χ|/2π is C12·α, C21·α² and C23·α² where it is largest.
    assert ctf.displacement(given) == pytest.approx(1e4 * 20e-3**order, rel=1e-4)


def test_displacement_of_astigmatism_adds_to_defocus():
    given = Optics(300e3, defocus=400, c12=100, phi12=0.7, aperture=10)
    assert ctf.displacement(given) == pytest.approx(500 * 10e-3, rel=1e-3)


# Azimuths


def test_azimuths_fill_a_turn():
    phi = ctf.azimuths(7)
    assert np.allclose(np.diff(phi), 2 * np.pi / 7)
    assert phi[0] > 0
    assert phi[-1] < 2 * np.pi
    # They integrate the harmonics below their own number.
    sums = [abs(np.exp(1j * n * phi).sum()) for n in range(1, 8)]
    np.testing.assert_allclose(sums, [0] * 6 + [7], atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_azimuths_needed_are_enough(seed):
    one, other = random_optics(seed), random_optics(seed + 100)
    other = replace(other, energy=one.energy)
    q_max = 1.1
    number = max(ctf.azimuths_needed(optics, q_max) for optics in (one, other))
    q = np.linspace(0, q_max, 60)[:, None]

    def product(phi):
        return (ctf.transfer(one, q, phi) * ctf.transfer(other, q, phi)).mean(1)

    fine = product(ctf.azimuths(4096))
    np.testing.assert_allclose(product(ctf.azimuths(number)), fine, atol=1e-9)
    assert np.abs(product(ctf.azimuths(12)) - fine).max() > 1e-3


def test_a_round_lens_needs_one_azimuth():
    assert ROUND.round
    assert ctf.azimuths_needed(ROUND, 1.0) == 1
    assert not replace(ROUND, c23=1.0).round


@pytest.mark.parametrize("lens", [ROUND, replace(ROUND, c12=20.0)], ids=["round", "astigmatic"])
def test_the_plane_of_integrals_is_a_disc(lens):
    """∫ d²q = πQ², ∫ q² d²q = πQ⁴/2 and, with azimuths, ∫ q_x² d²q = πQ⁴/4."""
    cutoff = 0.8
    q, phi, area = ctf.plane([ROUND, lens], cutoff, 400)
    assert area.sum() == pytest.approx(np.pi * cutoff**2)
    assert (q**2 * area).sum() == pytest.approx(np.pi * cutoff**4 / 2, rel=1e-5)
    if lens.round:
        assert phi == 0
    else:
        moment = (q * np.cos(phi)) ** 2
        assert (moment * area).sum() == pytest.approx(np.pi * cutoff**4 / 4, rel=1e-5)
