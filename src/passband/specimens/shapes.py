"""The shapes of particles: for each, the faces of a body in a crystal, or the whole form."""

from collections.abc import Mapping
from itertools import combinations
from math import pi

import numpy as np
from ase.cluster import Icosahedron

from passband.errors import PassbandError
from passband.parts import shape
from passband.specimens.bodies import BALL, Form, corners_of, measures, single, unit
from passband.specimens.crystals import BOND, Crystal

Faces = Mapping[tuple[int, int, int], float]


@shape
def sphere(crystal: Crystal) -> Form:
    """Return a ball."""
    return BALL


@shape(surface_energies=True)
def wulff(crystal: Crystal, surface_energies: Faces) -> Faces:
    """Return the faces of Wulff's construction.

    The distance of the facet (hkl) from the centre is proportional to the facet's surface energy
    (Wulff's theorem; Herring, *Phys. Rev.* 82, 87, 1951).
    """
    return surface_energies


@shape(structures=("fcc", "bcc", "diamond", "rocksalt", "zincblende", "fluorite"))
def truncated_octahedron(crystal: Crystal) -> Faces:
    """Return the faces of the regular truncated octahedron, which are {111} and {100}."""
    return {(1, 1, 1): 1.0, (1, 0, 0): 2 / 3**0.5}


@shape(widest=1.4)
def cube(crystal: Crystal) -> Form:
    """Return the faces (100), (010) and (001) and the opposite faces, all equally far away.

    In a crystal from a file, they need not be equivalent.
    """
    normals = unit(np.linalg.inv(crystal.cell.cell.array).T)
    return single(crystal, np.concatenate([normals, -normals]), np.ones(6))


@shape(structures=("fcc",), widest=1.4, is_twinned=True)
def decahedron(crystal: Crystal) -> Form:
    """Return five sectors of Wulff's construction between twin planes, with {111} and {100} facets.

    (Marks, *Phil. Mag. A* 49, 81, 1984)
    """
    energies = crystal.surface_energies
    if not {(1, 0, 0), (1, 1, 1)} <= energies.keys():
        raise PassbandError(
            f"shape = 'decahedron': material {crystal.name!r} has no surface energies of (100) and "
            "(111), which decide how long the decahedron is"
        )
    # In each sector, the vectors a and b lead from the common axis along the sector's twin planes.
    angles = 2 * pi / 5 * np.arange(5)
    height = crystal.neighbour_A
    a = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1) * height * 3**0.5 / 2
    b = np.roll(a, -1, 0)
    axis = np.array([0, 0, height])
    caps = [np.cross(a - axis / 2, b - axis / 2), np.cross(b + axis / 2, a + axis / 2)]
    notches = [np.cross(axis, -b), np.cross(axis, a)]
    normals = unit(np.stack([*caps, a + b, *notches], 1))
    distances = np.tile([1, 1, energies[1, 0, 0] / energies[1, 1, 1], 1, 1], (5, 1))
    walls = unit(np.stack([np.cross(a[0], axis), np.cross(axis, b[0])]))
    inside = unit(a + b)[0] / 2
    corners = corners_of(
        np.concatenate([normals[0], walls]), np.append(distances[0], [0, 0]), inside
    )
    reach, volume = measures(corners)
    vectors = np.stack([a + axis / 2, b + axis / 2, np.broadcast_to(axis, a.shape)], 1)
    return Form(
        sectors=unit(a + b),
        normals=normals,
        distances=distances,
        reach=reach,
        volume=5 * volume,
        vectors=vectors,
        is_axial=True,
    )


@shape(structures=("fcc",), widest=1.4, is_twinned=True)
def icosahedron(crystal: Crystal) -> Form:
    """Return twenty sectors of Wulff's construction between twin planes, with {111} facets."""
    bond = BOND * crystal.neighbour_A
    corners = Icosahedron(crystal.material.symbol, 2, crystal.material.lattice_A).positions[1:]
    near = np.linalg.norm(corners[:, None] - corners, axis=-1) < bond
    triples = [trio for trio in combinations(range(12), 3) if near[np.ix_(trio, trio)].all()]
    vectors = corners[np.array(triples)]
    normals = unit(vectors.sum(1))
    reach, volume = measures(corners / (normals[0] @ vectors[0, 0]))
    return Form(
        sectors=normals,
        normals=normals[:, None],
        distances=np.ones((20, 1)),
        reach=reach,
        volume=volume,
        vectors=vectors,
    )
