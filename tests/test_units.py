"""From a microscopist's units to internal ones."""

import numpy as np
import pytest

from passband import units
from passband.config import Aberrations, Microscope, Spread
from passband.ctf import Optics
from passband.grid import Condition


def test_optics_are_in_ev_angstrom_and_mrad():
    microscope = Microscope(
        energy_kev=200.0, aperture_edge_mrad=0.5, focal_spread_nm=2.5, source_spread_mrad=0.3
    )
    optics = units.optics(Condition(12.5, 1.2, 18, 400), microscope)
    assert optics == Optics(
        energy=pytest.approx(200e3),  # 1 keV = 1000 eV
        defocus=pytest.approx(125),  # 1 nm = 10 Å
        cs=pytest.approx(12e3),  # 1 µm = 10⁴ Å
        aperture=18,
        aperture_edge=0.5,
        focal_spread=pytest.approx(25),
        source_spread=0.3,
    )
    assert units.energy(microscope) == pytest.approx(200e3)


def test_aberrations_are_in_angstrom_and_radians():
    aberrations = Aberrations(
        astigmatism_nm=2.0,
        astigmatism_deg=90.0,
        coma_nm=50.0,
        coma_deg=-45.0,
        threefold_nm=30.0,
        threefold_deg=180.0,
    )
    optics = units.optics(Condition(5, 1.2, 18, 400), Microscope(aberrations=aberrations))
    assert (optics.c12, optics.c21, optics.c23) == pytest.approx((20, 500, 300))
    assert (optics.phi12, optics.phi21, optics.phi23) == pytest.approx(
        (np.pi / 2, -np.pi / 4, np.pi)
    )
    back = {"defocus_nm": 5.0, **aberrations.model_dump()}
    assert units.aberrations(optics) == pytest.approx(back)
    assert not optics.round
    assert units.optics(Condition(5, 1.2, 18, 400), Microscope()).round


def test_signs_are_kept():
    optics = units.optics(Condition(-7, -15, 18, 400), Microscope())
    assert optics.defocus == pytest.approx(-70)
    assert optics.cs == pytest.approx(-150e3)


def test_dose_does_not_change_the_optics():
    low, high = (units.optics(Condition(5, 1.2, 18, dose), Microscope()) for dose in (1, 1000))
    assert low == high


def test_spreads_are_in_angstrom():
    given = Spread(focus_nm=1.5, dose=0.1, astigmatism_nm=2.0, coma_nm=30.0, threefold_nm=40.0)
    spread = units.spread(Microscope(spread=given))
    assert (spread.defocus, spread.dose) == pytest.approx((15, 0.1))
    assert (spread.c12, spread.c21, spread.c23) == pytest.approx((20, 300, 400))
    assert not units.spread(Microscope()).of_lens
