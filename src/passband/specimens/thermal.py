"""Thermal motion: the displacements of atoms at the moment when an electron passes.

An electron passes the specimen in a small fraction of the period of an atom's vibration, so that
the atoms do not move while the electron passes. When the next electron passes, the atoms have other
positions. The positions of the atoms at one moment are called a frozen configuration. An image is
the mean of the intensities of many frozen configurations (Loane, Xu & Silcox, *Acta Cryst.* A47,
267, 1991; Kirkland, *Advanced Computing in Electron Microscopy*, 2nd ed., sec. 6.4). This module
uses Einstein's model: the displacements of atoms are independent of each other, isotropic, and
normally distributed. Correlated motion would add a little structure to the diffuse background of
scattering (Muller et al., *Ultramicroscopy* 86, 371, 2001). The mean square displacements were
measured in bulk crystals. The displacements of surface atoms are larger, which is not included.
"""

from collections.abc import Iterable
from math import expm1, log, pi

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from scipy.constants import Boltzmann, Planck, atomic_mass
from scipy.optimize import brentq
from scipy.special import spence

from passband.config import Specimen
from passband.config.crystals import CARBON_B_A2, ROOM_K
from passband.errors import PassbandError

#: The constant 6h²/k of Debye's model, in units such that a mass in u and a temperature in K give a
#: B factor in Å².
_SCALE = 6 * Planck**2 / (Boltzmann * atomic_mass) * 1e20


def debye_b(mass: float, debye_K: float, temperature_K: float) -> float:
    """Return the B factor 8π²⟨u²⟩ of Debye's model [Å²], which includes zero-point motion.

    B = 6h²/(MkΘ)·[φ(x)/x + 1/4] with x = Θ/T and φ(x) = (1/x)∫₀ˣ t/(eᵗ − 1) dt (*International
    Tables for X-ray Crystallography* II, sec. 5.2). ⟨u²⟩ is the mean square displacement along one
    direction, and the mass is in u.
    """
    x = debye_K / temperature_K
    # Integration by parts gives an integral of -ln(1 - e⁻ᵗ). The dilogarithm of z is spence(1 - z).
    below = -expm1(-x)
    integral = pi**2 / 6 + x * log(below) - spence(below)
    return _SCALE / (mass * debye_K) * (integral / x**2 + 1 / 4)


def mean_square(b_A2: float, mass: float, temperature_K: float) -> float:
    """Return ⟨u²⟩ along one direction at a temperature [Å²], from the B factor at room temperature.

    Debye's model gives the mean square displacement. Its Debye temperature is chosen such that the
    model gives the known B factor at :data:`passband.config.crystals.ROOM_K`. The mass is in u.
    """
    debye_K = brentq(lambda theta: debye_b(mass, theta, ROOM_K) - b_A2, 10.0, 10_000.0)
    return debye_b(mass, debye_K, temperature_K) / (8 * pi**2)


def mean_squares(specimen: Specimen, elements: Iterable[str]) -> dict[str, float]:
    """Return the mean square displacements of a specimen's elements.

    Args:
        specimen: The specimen. `thermal.msd_A2` has the mean square displacements of some elements.
            Those of the other elements follow from `thermal.temperature_K`.
        elements: Chemical symbols.

    Returns:
        Mean square displacement ⟨u²⟩ along one direction, by chemical symbol [Å²]. If atoms are at
        rest, all values are 0.

    Raises:
        PassbandError: If atoms move and the mean square displacement of an element is not known.
    """
    thermal, squares = specimen.thermal, {}
    if not thermal.moves:
        return dict.fromkeys(elements, 0.0)
    material = specimen.known
    for element in elements:
        b = material.b_A2 if material and element in material.elements else None
        if element == "C":
            b = CARBON_B_A2
        if element in thermal.msd_A2:
            squares[element] = thermal.msd_A2[element]
        elif thermal.temperature_K and b is not None:
            mass = atomic_masses[atomic_numbers[element]]
            squares[element] = mean_square(b, mass, thermal.temperature_K)
        else:
            raise PassbandError(
                f"thermal.msd_A2 of material {specimen.material!r}: lacks {element}; give its mean "
                "square displacement [Å²]"
            )
    return squares


def displaced(atoms: Atoms, specimen: Specimen, rng: np.random.Generator) -> Atoms:
    """Return atoms at their positions at one moment: a frozen configuration.

    The cell is orthorhombic and periodic in x and y, and atoms that leave it there enter at the
    opposite face. Each atom takes three normally distributed numbers. Without thermal motion, the
    atoms stay at rest.

    Raises:
        PassbandError: If an element has no mean square displacement, see :func:`mean_squares`.
    """
    if not specimen.thermal.moves:
        return atoms
    symbols = np.array(atoms.get_chemical_symbols())
    squares = mean_squares(specimen, np.unique(symbols).tolist())
    size = np.sqrt([squares[symbol] for symbol in symbols])
    atoms = atoms.copy()
    atoms.positions += size[:, None] * rng.standard_normal((len(atoms), 3))
    atoms.positions[:, :2] %= atoms.cell.lengths()[:2]
    return atoms
