"""A specimen: a rod with round ends, which lies on amorphous carbon.

In the study: `specimens.rods.kind: nanorods`. The other keys of the specimen are as ever: the
material, the diameter of the rod as `diameter_nm.mean`, and the substrate.
"""

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

from passband.parts import specimen
from passband.specimens import carbon, crystals

#: Length of a rod, divided by its diameter.
ASPECT = 2.5
#: Distance between the rod and the carbon [Å].
CONTACT_A = 2.2


@specimen(height_nm=4.0)
def nanorods(specimen, field_A, rng):
    """Return the atoms of a structure, with the number of the particle of each; 0 is carbon."""
    diameter = 10 * specimen.diameter_nm.mean
    thickness = 10 * specimen.substrate.thickness_nm
    density = specimen.substrate.density_g_per_cm3
    substrate = carbon.amorphous_carbon(field_A, thickness, density, carbon.DISTANCE_A, rng)

    crystal = crystals.of_specimen(specimen)
    sites = crystals.lattice(crystal, ASPECT * diameter / 2, rng.random(3))
    half = (ASPECT - 1) * diameter / 2
    axis = np.zeros((len(sites), 3))
    axis[:, 2] = np.clip(sites.positions[:, 2], -half, half)
    rod = sites[np.linalg.norm(sites.positions - axis, axis=1) <= diameter / 2]
    turn = Rotation.from_euler("zyz", [rng.uniform(0, 360), 90, rng.uniform(0, 360)], degrees=True)
    positions = turn.apply(rod.positions)
    positions[:, :2] += rng.uniform(0, field_A, 2)
    positions[:, 2] += thickness + CONTACT_A - positions[:, 2].min()

    atoms = Atoms("C" * len(substrate), substrate) + Atoms(rod.numbers, positions)
    atoms.new_array("particle", np.repeat([0, 1], [len(substrate), len(rod)]))
    return atoms
