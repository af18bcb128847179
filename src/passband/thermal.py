"""Thermal motion: how far atoms are from their places at the moment an electron passes.

An electron passes a specimen in a fraction of a vibration's period and sees it frozen; the next
one sees it in another phase. An image is the average over many such configurations, of intensities
(Loane, Xu & Silcox, *Acta Cryst.* A47, 267, 1991; Kirkland, *Advanced Computing in Electron
Microscopy*, 2nd ed., sec. 6.4). Atoms move independently of each other here, isotropically and with
a normal distribution: Einstein's model. Correlated motion would add a little structure to the
diffuse background (Muller et al., *Ultramicroscopy* 86, 371, 2001). How far atoms move is measured
in bulk crystals; that they move farther at a surface is left out.
"""

from collections.abc import Iterable
from math import expm1, log, pi

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from scipy.constants import Boltzmann, Planck, atomic_mass
from scipy.optimize import brentq
from scipy.special import spence

from passband import PassbandError
from passband.config import Specimen
from passband.materials import CARBON_B_A2, MATERIALS, ROOM_K

#: 6h²/k, such that a mass in atomic units and temperatures in K give Å².
_SCALE = 6 * Planck**2 / (Boltzmann * atomic_mass) * 1e20


def debye_b(mass: float, debye_K: float, temperature_K: float) -> float:
    """Return the B factor of Debye's model, zero-point motion included.

    B = 6h²/(MkΘ)·[φ(x)/x + 1/4] with x = Θ/T and φ(x) = (1/x)∫₀ˣ t/(eᵗ − 1) dt (*International
    Tables for X-ray Crystallography* II, sec. 5.2).

    Parameters
    ----------
    mass : float
        Of the atom [u].
    debye_K : float
        Debye temperature Θ [K].
    temperature_K : float
        Temperature T, above 0 [K].

    Returns
    -------
    float
        B = 8π²⟨u²⟩ [Å²], where ⟨u²⟩ is the mean square displacement along one direction.
    """
    x = debye_K / temperature_K
    # The integral is that of -ln(1 - e⁻ᵗ) by parts; spence(1 - z) is the dilogarithm of z.
    below = -expm1(-x)
    integral = pi**2 / 6 + x * log(below) - spence(below)
    return _SCALE / (mass * debye_K) * (integral / x**2 + 1 / 4)


def mean_square(b_A2: float, mass: float, temperature_K: float) -> float:
    """Return the mean square displacement at a temperature from the B factor at another.

    Debye's model carries it from one to the other, with the Debye temperature that gives the B
    factor at :data:`passband.materials.ROOM_K`.

    Parameters
    ----------
    b_A2 : float
        B factor at that temperature [Å²].
    mass : float
        Of the atom [u].
    temperature_K : float
        Temperature, above 0 [K].

    Returns
    -------
    float
        ⟨u²⟩ along one direction [Å²].
    """
    debye_K = brentq(lambda theta: debye_b(mass, theta, ROOM_K) - b_A2, 10.0, 10_000.0)
    return debye_b(mass, debye_K, temperature_K) / (8 * pi**2)


def mean_squares(specimen: Specimen, elements: Iterable[str]) -> dict[str, float]:
    """Return the mean square displacements of a specimen's elements.

    Parameters
    ----------
    specimen : config.Specimen
        Its `thermal.msd_A2`, and for elements not in there, the temperature.
    elements : iterable of str
        Chemical symbols.

    Returns
    -------
    dict of str to float
        ⟨u²⟩ along one direction by chemical symbol [Å²]; all 0 where atoms are at rest.

    Raises
    ------
    PassbandError
        If there is motion and an element has no value.
    """
    thermal, found = specimen.thermal, {}
    if not thermal.moves:
        return dict.fromkeys(elements, 0.0)
    material = MATERIALS.get(specimen.material)
    for element in elements:
        b = material.b_A2 if material and element in material.elements else None
        if element == "C":
            b = CARBON_B_A2
        if element in thermal.msd_A2:
            found[element] = thermal.msd_A2[element]
        elif thermal.temperature_K and b is not None:
            mass = atomic_masses[atomic_numbers[element]]
            found[element] = mean_square(b, mass, thermal.temperature_K)
        else:
            raise PassbandError(
                f"thermal.msd_A2 of material {specimen.material!r}: lacks {element}; give its mean "
                "square displacement [Å²]"
            )
    return found


def displaced(atoms: Atoms, specimen: Specimen, rng: np.random.Generator) -> Atoms:
    """Return atoms as they are found at one moment.

    Parameters
    ----------
    atoms : ase.Atoms
        At rest, in an orthorhombic cell, periodic in x and y.
    specimen : config.Specimen
        Whose thermal motion they have.
    rng : numpy.random.Generator
        Source of the displacements: three normal numbers an atom.

    Returns
    -------
    ase.Atoms
        The same atoms where there is motion displaced, inside the cell in x and y.

    Raises
    ------
    PassbandError
        As :func:`mean_squares`.
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
