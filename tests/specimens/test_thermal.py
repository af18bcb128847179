"""Thermal motion compared with the Debye-Waller factor and with published values."""

import numpy as np
import pytest
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from scipy import integrate, stats

from passband import PassbandError, seeds
from passband.config import Specimen, Substrate, Thermal
from passband.config.crystals import CARBON_B_A2, MATERIALS, ROOM_K
from passband.optics.sampling import Sampling
from passband.specimens import thermal
from passband.specimens.multislice import Multislice

METALS = {name: material for name, material in MATERIALS.items() if material.b_A2}
#: B factors at 280 K [Å²]: Peng, Ren, Dudarev & Whelan, Acta Cryst. A52, 456 (1996), table 1.
AT_280_K = {"Ag": 0.7017, "Au": 0.5925, "Cu": 0.526, "Fe": 0.310, "Pd": 0.425, "Pt": 0.3557}
#: Debye temperatures of the specific heat [K]: Kittel, Introduction to Solid State Physics, ch. 5.
DEBYE_K = {"Ag": 225, "Au": 165, "Cu": 343, "Fe": 470, "Pd": 274, "Pt": 240}


def mass(element):
    return atomic_masses[atomic_numbers[element]]


def rng(*names):
    return seeds.generator("thermal", *names)


def moving(**squares):
    return Specimen(substrate=Substrate(thickness_nm=1.0), thermal=Thermal(msd_A2=squares))


def crowd(elements, each):
    """Return many atoms of each element, all at rest in one position."""
    return Atoms(
        np.repeat(elements, each),
        np.tile([7.2, 7.2, 3.0], (each * len(elements), 1)),
        cell=[14.4, 14.4, 6.0],
        pbc=(True, True, False),
    )


# Debye's model


@pytest.mark.parametrize("temperature", [1.0, 80.0, 293.0, 1000.0])
def test_debye_b_is_the_integral_over_the_debye_spectrum(temperature):
    # ⟨u²⟩ = (ħ/2M)∫g(ω) coth(ħω/2kT)/ω dω over g = 3ω²/ω_D³, with ħω = kΘt; coth is 1 + the rest.
    hbar, k, u = 1.054571817e-34, 1.380649e-23, 1.66053906660e-27
    theta = 200.0
    phonons, _ = integrate.quad(lambda t: t / np.tanh(theta * t / (2 * temperature)), 0, 1)
    square = 3 * hbar**2 / (2 * 100 * u * k * theta) * phonons * 1e20
    b = thermal.debye_b(100.0, theta, temperature)
    assert b == pytest.approx(8 * np.pi**2 * square, rel=1e-6)


def test_debye_b_has_zero_point_motion_and_grows_with_temperature():
    cold, hot, hotter = (thermal.debye_b(100.0, 200.0, t) for t in (0.01, 2000.0, 4000.0))
    assert cold == pytest.approx(2873 / (100 * 200), rel=1e-3)  # International Tables' constant
    assert hotter == pytest.approx(2 * hot, rel=1e-2)


@pytest.mark.parametrize("name", METALS)
def test_b_factors_agree_with_another_table(name):
    square = thermal.mean_square(METALS[name].b_A2, mass(name), 280.0)
    assert 8 * np.pi**2 * square == pytest.approx(AT_280_K[name], rel=0.06)


@pytest.mark.parametrize("name", METALS)
def test_b_factors_are_those_of_debye_temperatures_of_the_specific_heat(name):
    # They weigh phonons differently, so that the two are some ten percent apart.
    measured = METALS[name].b_A2
    stiffer, softer = (thermal.debye_b(mass(name), DEBYE_K[name] * f, ROOM_K) for f in (1.05, 0.85))
    assert stiffer < measured < softer


def test_mean_square_is_that_of_the_b_factor_at_its_temperature():
    square = thermal.mean_square(0.62, mass("Au"), ROOM_K)
    assert square == pytest.approx(0.62 / (8 * np.pi**2))
    assert square == pytest.approx(0.00785, rel=1e-3)  # 0.089 Å along each direction
    assert thermal.mean_square(0.62, mass("Au"), 600.0) > 1.9 * square


# A specimen's elements


def test_temperature_moves_the_metal_and_the_carbon():
    squares = thermal.mean_squares(Specimen(thermal=Thermal(temperature_K=ROOM_K)), ["Au", "C"])
    expected = {"Au": 0.62 / (8 * np.pi**2), "C": CARBON_B_A2 / (8 * np.pi**2)}
    assert squares == pytest.approx(expected)


def test_given_squares_stand_instead_of_the_temperatures():
    specimen = Specimen(thermal=Thermal(temperature_K=293.0, msd_A2={"C": 0.002}))
    squares = thermal.mean_squares(specimen, ["Au", "C"])
    assert squares == pytest.approx({"Au": 0.62 / (8 * np.pi**2), "C": 0.002}, rel=1e-3)


def test_elements_of_a_file_need_their_squares(tmp_path):
    path = tmp_path / "crystal.xyz"
    path.write_text("")
    specimen = Specimen(
        material=str(path), shape="sphere", thermal=Thermal(temperature_K=293, msd_A2={"Ti": 0.01})
    )
    assert thermal.mean_squares(specimen, ["Ti"]) == {"Ti": 0.01}
    with pytest.raises(PassbandError, match=r"^thermal.msd_A2 of material '.*': lacks O; give its"):
        thermal.mean_squares(specimen, ["O", "Ti"])


# Displacements


def test_displacements_are_normal_with_each_elements_variance_in_every_direction():
    squares = {"Au": 0.01, "C": 0.03}
    atoms = crowd(["Au", "C"], 20_000)
    moved = thermal.displaced(atoms, moving(**squares), rng())
    for element, square in squares.items():
        of = atoms.symbols == element
        u = (moved.positions - atoms.positions)[of]
        # A variance of n normal numbers has the relative error √(2/n): 1%.
        np.testing.assert_allclose(u.var(0), square, rtol=0.04)
        assert np.abs(np.corrcoef(u.T) - np.eye(3)).max() < 0.03
        for axis in u.T:
            assert stats.kstest(axis / square**0.5, "norm").pvalue > 1e-3


def test_atoms_keep_their_order_and_stay_in_the_field():
    atoms = crowd(["Au"], 500)
    atoms.positions[:, :2] = 0.0
    atoms.new_array("particle", np.arange(500))
    moved = thermal.displaced(atoms, moving(Au=0.01, C=0.01), rng())
    assert (moved.arrays["particle"] == np.arange(500)).all()
    assert (moved.positions[:, :2] >= 0).all()
    assert (moved.positions[:, :2] < 14.4).all()
    assert (atoms.positions[:, :2] == 0).all(), "the resting atoms are left alone"
    assert (moved.positions[:, :2] > 14).any(), "to the other side of the periodic field"


def test_atoms_at_rest_stay_where_they_are():
    atoms = crowd(["Au"], 3)
    assert thermal.displaced(atoms, Specimen(), rng()) is atoms
    moved = thermal.displaced(crowd(["Au", "C"], 3), moving(Au=0.01, C=0.0), rng())
    assert (moved.positions[3:] == atoms.positions).all()
    assert (moved.positions[:3] != atoms.positions).all()


def test_mean_potential_is_damped_by_the_debye_waller_factor():
    """The factor exp(−B s²), s = q/2, is on the Fourier coefficients of the mean potential."""
    number, square = 4000, 0.05
    grid, resting = Sampling(48, 0.3), crowd(["Au"], number)
    potential = Multislice(grid, 300e3).potential
    # The potential of many atoms in one place is the sum over many configurations of one atom.
    still, mean = (
        grid.crop(potential(atoms).astype(complex)) / number
        for atoms in (resting, thermal.displaced(resting, moving(Au=square, C=0.0), rng()))
    )
    q, _ = grid.frequencies()
    within = q < 1.1
    damping = (mean / still)[within]
    s = q[within] / 2
    expected = np.exp(-8 * np.pi**2 * square * s**2)
    assert expected.min() < 0.35
    # The mean of 4000 phase factors is uncertain by 1/√8000 in each component.
    np.testing.assert_allclose(damping, expected, atol=5 / np.sqrt(2 * number))
