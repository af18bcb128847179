"""Conversion from a microscopist's units to the units in the code."""

import subprocess
import sys

import numpy as np
import pytest

from passband import units
from passband.axes import AXES
from passband.config import Aberrations, Detector, Microscope, Spread
from passband.config.microscope import lens_values
from passband.grid import Condition
from passband.optics.ctf import Optics


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cs_mm", "cs_um (1 mm is 1000 µm)"),
        ("Cs_mm", "cs_um (1 mm is 1000 µm)"),
        ("defocus_um", "defocus_nm (1 µm is 1000 nm)"),
        ("defocus_A", "defocus_nm (1 Å is 0.1 nm)"),
        ("aperture_deg", "aperture_mrad (1 ° is 17.4533 mrad)"),
        ("energy_kv", "energy_kev (1 kV is 1 keV)"),
        ("energy_ev", "energy_kev (1 eV is 0.001 keV)"),
        ("dose_e_per_nm2", "dose_e_per_A2 (1 e/nm² is 0.01 e/Å²)"),
        ("astigmatism_A", "astigmatism_nm (1 Å is 0.1 nm)"),
        ("astigmatism_rad", "astigmatism_deg (1 rad is 57.2958 °)"),
        ("pixel_size_nm", "pixel_size_A (1 nm is 10 Å)"),
        ("cs_um", ""),  # which is known
        ("cs", ""),
        ("_mm", ""),
        ("cs_kv", ""),
        ("tilt_mrad", ""),
    ],
)
def test_a_name_in_another_unit_is_recognised(name, says):
    assert units.in_known_unit(name, AXES) == says


def test_optics_are_in_ev_angstrom_and_mrad():
    microscope = Microscope(
        energy_kev=200.0, aperture_edge_mrad=0.5, focal_spread_nm=2.5, source_spread_mrad=0.3
    )
    optics = microscope.optics(Condition(12.5, 1.2, 18, 400))
    assert optics == Optics(
        energy=pytest.approx(200e3),  # 1 keV = 1000 eV
        defocus=pytest.approx(125),  # 1 nm = 10 Å
        cs=pytest.approx(12e3),  # 1 µm = 10⁴ Å
        aperture=18,
        aperture_edge=0.5,
        focal_spread=pytest.approx(25),
        source_spread=0.3,
    )
    assert microscope.energy_eV == pytest.approx(200e3)


def test_aberrations_are_in_angstrom_and_radians():
    aberrations = Aberrations(
        astigmatism_nm=2.0,
        astigmatism_deg=90.0,
        coma_nm=50.0,
        coma_deg=-45.0,
        threefold_nm=30.0,
        threefold_deg=180.0,
    )
    optics = Microscope(aberrations=aberrations).optics(Condition(5, 1.2, 18, 400))
    assert (optics.c12, optics.c21, optics.c23) == pytest.approx((20, 500, 300))
    assert (optics.phi12, optics.phi21, optics.phi23) == pytest.approx(
        (np.pi / 2, -np.pi / 4, np.pi)
    )
    back = {"defocus_nm": 5.0, **aberrations.model_dump()}
    assert lens_values(optics) == pytest.approx(back)
    assert not optics.round
    assert Microscope().optics(Condition(5, 1.2, 18, 400)).round


def test_signs_are_kept():
    optics = Microscope().optics(Condition(-7, -15, 18, 400))
    assert optics.defocus == pytest.approx(-70)
    assert optics.cs == pytest.approx(-150e3)


def test_dose_does_not_change_the_optics():
    low, high = (Microscope().optics(Condition(5, 1.2, 18, dose)) for dose in (1, 1000))
    assert low == high


def test_jitter_is_in_angstrom():
    given = Spread(focus_nm=1.5, dose=0.1, astigmatism_nm=2.0, coma_nm=30.0, threefold_nm=40.0)
    jitter = Microscope(spread=given).jitter
    assert (jitter.defocus, jitter.dose) == pytest.approx((15, 0.1))
    assert (jitter.c12, jitter.c21, jitter.c23) == pytest.approx((20, 300, 400))
    assert not Microscope().jitter.lens_varies


def test_blur_is_of_vibration_and_mtf_in_cycles_per_angstrom():
    camera = Detector(mtf="table", mtf_table=[[0, 1], [1, 0.5]])
    given = Microscope(field_px=32, pixel_size_A=0.5, vibration_A=0.2, detector=camera)
    # Nyquist's frequency is 1/(2 × 0.5 Å) = 1/Å; vibration leaves exp(−2π²s²q²), s = 0.2 Å.
    expected = np.array([0.75, 0.5]) * np.exp(-2 * np.pi**2 * 0.04 * np.array([0.25, 1]))
    assert given.response(np.array([0.5, 1])) == pytest.approx(expected)
    assert given.blur[0, [8, 16]] == pytest.approx(expected)
    assert Microscope().blur is None


def test_units_import_nothing_of_passband():
    """The module has only constants, so that every room of the package can import it."""
    code = (
        "import sys, passband; before = {*sys.modules}; import passband.units\n"
        "print(*{*sys.modules} - before)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert printed.stdout.decode().split() == ["passband.units"]
