"""Kinds of specimens whose particles touch, or are all inside the field.

The particles are those of the package's kind, in other places.
"""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from passband.parts import specimen
from passband.specimens import crystals
from passband.specimens.structures import Structure, draw

#: The probability that a particle is put against an earlier one.
SHARE = 0.75
#: Atoms of two particles are at least this part of the nearest-neighbour distance apart.
CLEARANCE = 0.95
TRIES = 200
#: Two bodies meet in bins of this width across their way [Å].
BIN_A = 0.25


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
        return body + slide(body, others[rng.integers(len(others))], near, rng)

    return rearranged(draw(specimen, sampling, rng), sampling.field_A, CLEARANCE * near, tried)


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
            if all(distance(xy, other, field) >= apart for other in placed[face]):
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


def distance(xy: np.ndarray, other: np.ndarray, field: float) -> float:
    """Return the smallest distance of two particles' atoms in the periodic field [Å]."""
    tree = cKDTree(other % field, boxsize=field)
    return float(tree.query(xy % field)[0].min())


def slide(body: np.ndarray, other: np.ndarray, near: float, rng: np.random.Generator) -> np.ndarray:
    """Return the shift with which a body just touches another one, from a random direction [Å].

    Args:
        body: (atoms, 2), about the body's centre.
        other: (atoms, 2), where the other one is.
        near: The smallest distance of their atoms then.
    """
    angle = 2 * np.pi * rng.random()
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    aim = other.mean(0) @ across
    rear, beside = foremost(-(body @ along), body @ across + aim)
    front, abreast = foremost(other @ along, other @ across)
    gap = near**2 - (beside[:, None] - abreast) ** 2
    reach = np.where(gap > 0, front + rear[:, None] + np.sqrt(np.maximum(gap, 0)), -np.inf)
    return reach.max() * along + aim * across


def foremost(ahead: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the foremost atom of each bin of the width, since no other can touch first."""
    order = np.argsort(-ahead, kind="stable")
    _, first = np.unique(np.rint(beside[order] / BIN_A), return_index=True)
    chosen = order[first]
    return ahead[chosen], beside[chosen]
