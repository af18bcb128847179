"""Draws structures by the kind of their specimen, and completes those of a study's own kinds."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from ase import Atoms

from passband.config import Specimen, Study
from passband.config.specimen import MOST_ATOMS
from passband.errors import PassbandError
from passband.optics.sampling import Sampling
from passband.parts import Part, PartError
from passband.seeds import generator
from passband.specimens import crystals, thermal
from passband.specimens.structures import FACES, PADDING_A, Structure

#: Largest number of a particle, since masks have eight bits.
_MOST_PARTICLES = 255


def draw(
    specimen: Specimen,
    sampling: Sampling,
    rng: np.random.Generator,
    own: tuple[Specimen, Sampling] | None = None,
) -> Structure:
    """Return a random structure.

    Args:
        sampling: The grid of the image's pixels. Its field of view is the side of the cell.
        own: The specimen and the grid with the study's own values, if `specimen` or `sampling` has
            other values. The package's particles are then those of the study's own values, see
            :func:`passband.specimens.structures.draw`.

    Raises:
        PassbandError: If the structure cannot be drawn.
        PartError: If the specimen's kind is the study's own, and must not run, fails, or returns
            something else.
    """
    part = specimen.kind_part
    function = _function(part)
    if part.declaration.keeps_particles:
        made = part.call(function, specimen, sampling, rng, own)
    else:
        made = part.call(function, specimen, sampling.field_A, rng)
    return _finished(part, made, specimen, sampling.field_A) if part.is_own else made


# Loading a part of a study reads its files.
@lru_cache(maxsize=8)
def _function(part: Part) -> Callable[..., object]:
    return part.load()


def _finished(part: Part, made: object, specimen: Specimen, field: float) -> Structure:
    """Return what a study's own kind of specimen has drawn, in its cell."""
    atoms = made.atoms if isinstance(made, Structure) else made
    _check_atoms(part, atoms)
    numbers = atoms.arrays["particle"]
    positions = atoms.positions.copy()
    positions[:, :2] %= field
    positions[:, 2] += PADDING_A - positions[:, 2].min()
    placed = Atoms(
        atoms.numbers,
        positions,
        cell=[field, field, positions[:, 2].max() + PADDING_A],
        pbc=(True, True, False),
    )
    placed.new_array("particle", numbers)
    if isinstance(made, Structure):
        if len(made.faces) != numbers.max() or not {*made.faces} <= {*range(len(FACES))}:
            raise PartError(f"{part}: faces = {made.faces}: must have a face for each particle")
        return Structure(placed, made.material, tuple(made.faces))
    crystal = crystals.of_specimen(specimen)
    return Structure(placed, crystal.material or crystal, (0,) * int(numbers.max()))


def _check_atoms(part: Part, atoms: object) -> None:
    """Raise PartError if these are not the atoms of a structure."""
    if not isinstance(atoms, Atoms):
        raise PartError(f"{part}: returns {type(atoms).__name__}; must return ase.Atoms")
    if not 0 < len(atoms) <= MOST_ATOMS:
        raise PartError(f"{part}: returns {len(atoms):,} atoms; must be 1 to {MOST_ATOMS:,}")
    if not np.isfinite(atoms.positions).all():
        raise PartError(f"{part}: returns atoms at positions that are not finite")
    if strange := sorted({*atoms.numbers.tolist()} - {*crystals.ELEMENTS}):
        raise PartError(f"{part}: returns an atom of the atomic number {strange[0]}")
    numbers = atoms.arrays.get("particle")
    if numbers is None or numbers.shape != (len(atoms),) or numbers.dtype.kind not in "iu":
        raise PartError(
            f"{part}: its atoms lack the array 'particle', a whole number for each atom; see "
            "atoms.new_array"
        )
    found = {*np.unique(numbers).tolist()} - {0}
    if found != {*range(1, len(found) + 1)} or len(found) > _MOST_PARTICLES:
        raise PartError(
            f"{part}: the array 'particle' must have 0, and 1 to the number of particles, which "
            f"is at most {_MOST_PARTICLES}"
        )


def check(study: Study) -> None:
    """Draw a structure of each specimen whose kind is the study's own.

    Raises:
        PassbandError: If it cannot be drawn, if it does not follow from its random generator alone,
            or if an element has no mean square displacement.
    """
    for name, specimen in study.specimens.items():
        if not specimen.kind_part.is_own:
            continue
        try:
            for waves in study.extreme_waves:
                under = specimen.under(waves)
                _try(under, study.microscope.under(waves).sampling, name)
        except PassbandError as error:
            raise PassbandError(f"specimens.{name}: {error}") from None


def _try(specimen: Specimen, sampling: Sampling, name: str) -> None:
    first, again = (draw(specimen, sampling, generator("check", name)).atoms for _ in range(2))
    same = len(first) == len(again) and np.array_equal(first.positions, again.positions)
    if not same or not np.array_equal(first.numbers, again.numbers):
        raise PartError(
            f"{specimen.kind_part}: draws another structure when it is called again; all its "
            "random numbers must be from the generator that it is given"
        )
    thermal.mean_squares(specimen, sorted({*first.get_chemical_symbols()}))
