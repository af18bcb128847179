"""Kinds of specimens whose particles touch, or are all inside the field.

The particles are those of the package's kind, in other places.
"""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from passband.parts import specimen
from passband.specimens import contact, crystals
from passband.specimens.structures import Structure, draw

#: The probability that a particle is put against an earlier one.
SHARE = 0.75
TRIES = 200


@specimen(keeps_particles=True)
def touching(specimen, sampling, rng, own):
    """Return particles of which most touch another one of the same face in projection.

    With the probability :data:`SHARE`, a particle comes from a random direction and stops at an
    earlier one: where the smallest distance of their projected atoms is the nearest-neighbour
    distance.
    """
    near = crystals.of_specimen(specimen).neighbour_A

    def tried(body: np.ndarray, others: Sequence[np.ndarray], field: float) -> np.ndarray:
        if not others or rng.random() >= SHARE:
            return body + rng.random(2) * field
        other = others[rng.integers(len(others))]
        return body + contact.slide(body, other, near, 2 * np.pi * rng.random())

    apart = contact.CLEARANCE * near
    return rearranged(draw(specimen, sampling, rng), sampling.field_A, apart, tried)


@specimen(keeps_particles=True)
def inside(specimen, sampling, rng, own):
    """Return particles none of which leaves the field on one side to enter on the other."""
    near = crystals.of_specimen(specimen).neighbour_A

    def tried(body: np.ndarray, others: Sequence[np.ndarray], field: float) -> np.ndarray:
        low = near - body.min(0)
        room = field - near - body.max(0) - low
        return body + low + rng.random(2) * room

    return rearranged(draw(specimen, sampling, rng), sampling.field_A, near, tried)


def rearranged(
    structure: Structure,
    field: float,
    apart: float,
    tried: Callable[[np.ndarray, Sequence[np.ndarray], float], np.ndarray],
) -> Structure:
    """Return a structure with its particles in other places.

    A particle that finds no room in :data:`TRIES` tries is left out.

    Args:
        field: The side of the periodic field [Å].
        apart: The smallest distance of the projected atoms of two particles on a face [Å].
        tried: Returns a place that is tried: x and y of the atoms, from those about the particle's
            centre, and from those of the particles that are placed on the same face.
    """
    atoms = structure.atoms
    numbers = atoms.arrays["particle"]
    kept = [numbers == 0]
    faces: list[int] = []
    placed: dict[int, list[np.ndarray]] = {face: [] for face in structure.faces}
    positions = atoms.positions.copy()
    for number, face in enumerate(structure.faces, 1):
        of = numbers == number
        body = centred(positions[of, :2], field)
        for _ in range(TRIES):
            xy = tried(body, placed[face], field)
            if all(contact.distance(xy, other, field) >= apart for other in placed[face]):
                placed[face].append(xy)
                positions[of, :2] = xy % field
                kept.append(of)
                faces.append(face)
                break
    order = np.concatenate([np.flatnonzero(of) for of in kept])
    made = Atoms(atoms.numbers[order], positions[order], cell=atoms.cell, pbc=atoms.pbc)
    made.new_array("particle", np.repeat(np.arange(len(kept)), [of.sum() for of in kept]))
    return Structure(made, structure.material, tuple(faces))


def centred(xy: np.ndarray, field: float) -> np.ndarray:
    """Return the atoms of a particle about its centre, which may have been on both sides [Å]."""
    turns = np.exp(2j * np.pi * xy / field).mean(0)
    centre = np.angle(turns) * field / (2 * np.pi)
    about = (xy - centre + field / 2) % field - field / 2
    return about - about.mean(0)
