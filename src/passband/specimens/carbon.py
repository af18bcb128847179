"""Amorphous carbon, the substrate of the particles. Lengths are in Å."""

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy.constants import N_A
from scipy.spatial import cKDTree

from passband.errors import PassbandError

#: Smallest distance between two atoms of the substrate [Å].
DISTANCE_A = 1.4
#: Maximum number of rounds of random sequential addition. If the density is not reached after so
#: many rounds, it counts as unreachable.
_ROUNDS = 400


def amorphous_carbon(
    field: float, thickness: float, density: float, distance: float, rng: np.random.Generator
) -> np.ndarray:
    """Return amorphous carbon made by random sequential addition, periodic in x and y.

    Atoms are added at uniformly random points, one after the other, until the density is reached.
    An atom that would be too close to an earlier atom is not added (Widom, *J. Chem. Phys.* 44,
    3888, 1966).

    Args:
        field, thickness: Side and height of the slab of carbon [Å].
        density: Mass density [g/cm³].
        distance: Smallest distance between two atoms [Å].

    Returns:
        (atoms, 3) float64: positions of the atoms [Å], with 0 ≤ x, y < field and 0 ≤ z < thickness.

    Raises:
        PassbandError: If the density cannot be reached. Random sequential addition of spheres ends
            when they fill about 38% of the volume.
    """
    box = np.array([field, field, thickness])
    per_A3 = density / atomic_masses[atomic_numbers["C"]] * N_A * 1e-24
    number = round(per_A3 * field**2 * thickness)
    kept = np.empty((0, 3))
    for _ in range(_ROUNDS):
        if len(kept) == number:
            return kept
        new = rng.random((number, 3)) * box
        if len(kept):
            tree = _tree(kept, field)
            new = new[np.isinf(tree.query(new, distance_upper_bound=distance)[0])]
        new = new[_first_come(new, distance, field)]
        kept = np.concatenate([kept, new[: number - len(kept)]])
    raise PassbandError(
        f"amorphous carbon cannot reach {density:g} g/cm³ with atoms {distance:g} Å apart or more; "
        "take a lower substrate.density_g_per_cm3"
    )


def _tree(points: np.ndarray, field: float) -> cKDTree:
    # Uniformly random points need no balanced tree, and the search is twice as fast without one.
    return cKDTree(points, boxsize=(field, field, 0), balanced_tree=False)


def _first_come(points: np.ndarray, distance: float, field: float) -> np.ndarray:
    """Return which points stay. A point too close to an earlier point that stays is removed."""
    pairs = _tree(points, field).query_pairs(distance, output_type="ndarray")
    stays = np.ones(len(points), bool)
    while len(pairs):
        # A point stays for certain if it is not the later point of any pair.
        earlier, later = pairs.T
        sure = np.ones(len(points), bool)
        sure[later] = False
        stays[later[sure[earlier]]] = False
        # A pair is finished once it is known whether its earlier point stays.
        pairs = pairs[stays[later] & stays[earlier] & ~sure[earlier]]
    return stays
