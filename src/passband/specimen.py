"""Random atomic structures and their ground truth: nanoparticles on amorphous carbon.

Inside this module lengths are Å; ``config.Specimen`` gives diameters, gap and thickness in nm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.cluster import wulff_construction
from ase.data import atomic_masses, atomic_numbers
from scipy.constants import N_A
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from passband import PassbandError
from passband.config import Diameter, Specimen
from passband.materials import MATERIALS, Material
from passband.sampling import Sampling
from passband.units import A_PER_NM

#: Height of a particle's lowest atom above the substrate's top [Å]; about the sum of the covalent
#: radii of carbon and a noble metal.
CONTACT_A = 2.2
#: Vacuum above and below the atoms, so that none lies on the cell's border [Å].
PADDING_A = 2.0
#: Reach of the mask's closing [Å]: gaps between projected columns up to twice this are filled.
CLOSING_A = 3.0
#: Random places tried for a particle before the structure does without it.
PLACE_TRIES = 500
#: Rounds of random sequential addition before a density counts as out of reach.
_ROUNDS = 400


@dataclass(frozen=True)
class Structure:
    """One random draw from a specimen.

    Attributes
    ----------
    atoms : ase.Atoms
        Orthorhombic cell, field × field × height [Å], periodic in x and y. The beam runs along +z:
        through the substrate first. The integer array ``particle`` is 0 for the substrate's atoms
        and 1, 2, … for those of each particle.
    material : Material
        What the particles are made of.
    """

    atoms: Atoms
    material: Material


def draw(specimen: Specimen, sampling: Sampling, rng: np.random.Generator) -> Structure:
    """Return a random structure.

    The number of particles is uniform, their diameters are from a normal distribution cut off at
    both ends, orientations are uniform over all rotations, places uniform over the periodic field.
    Outlines of particles are taken as circles, circumscribed in projection, that stay `gap_nm`
    apart; a particle that finds no room in :data:`PLACE_TRIES` places is left out, so that a
    crowded field holds fewer, but always one.

    Parameters
    ----------
    specimen : config.Specimen
        The distribution to draw from.
    sampling : Sampling
        Its field is the cell's side.
    rng : numpy.random.Generator
        Source of all randomness.

    Raises
    ------
    PassbandError
        If the substrate's density cannot be reached, or a particle is wider than the field.
    """
    material, field = MATERIALS[specimen.material], sampling.field_A
    thickness = specimen.substrate.thickness_nm * A_PER_NM
    substrate = amorphous_carbon(
        field,
        thickness,
        specimen.substrate.density_g_per_cm3,
        specimen.substrate.minimum_distance_A,
        rng,
    )
    number = rng.integers(specimen.particles.min, specimen.particles.max, endpoint=True)
    particles = [
        particle(material, specimen.shape, diameter * A_PER_NM, rng)
        for diameter in diameters(specimen.diameter_nm, number, rng)
    ]
    particles = place(particles, field, specimen.gap_nm * A_PER_NM, material.neighbour_A / 2, rng)
    # Without a substrate there is nothing to keep clear of.
    bottom = thickness + CONTACT_A if len(substrate) else 0.0
    positions = np.concatenate([substrate, *(p + np.array([0, 0, bottom]) for p in particles)])
    positions[:, :2] %= field
    positions[:, 2] += PADDING_A - positions[:, 2].min()
    sizes = [len(substrate), *map(len, particles)]
    atoms = Atoms(
        np.repeat(["C", *[material.symbol] * len(particles)], sizes),
        positions,
        cell=[field, field, positions[:, 2].max() + PADDING_A],
        pbc=(True, True, False),
    )
    atoms.new_array("particle", np.repeat(np.arange(len(sizes)), sizes))
    return Structure(atoms, material)


def amorphous_carbon(
    field: float, thickness: float, density: float, distance: float, rng: np.random.Generator
) -> np.ndarray:
    """Return amorphous carbon by random sequential addition, periodic in x and y.

    Atoms are put at uniformly random points, one after the other, and those that come too close to
    an earlier one are dropped (Widom, *J. Chem. Phys.* 44, 3888, 1966) until the density is met.

    Parameters
    ----------
    field, thickness : float
        Side and height of the slab [Å].
    density : float
        Mass density [g/cm³].
    distance : float
        No two atoms are closer [Å].

    Returns
    -------
    (atoms, 3) float64 array
        Positions [Å], 0 ≤ x, y < field and 0 ≤ z < thickness.

    Raises
    ------
    PassbandError
        If the density cannot be reached: spheres jam at 38% of the volume.
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
            tree = cKDTree(kept, boxsize=(field, field, 0))
            new = new[np.isinf(tree.query(new, distance_upper_bound=distance)[0])]
        new = new[_first_come(new, distance, field)]
        kept = np.concatenate([kept, new[: number - len(kept)]])
    raise PassbandError(
        f"amorphous carbon of {density:g} g/cm³ cannot be reached with no two atoms closer than "
        f"{distance:g} Å; take a lower substrate.density_g_per_cm3 or a smaller minimum_distance_A"
    )


def _first_come(points: np.ndarray, distance: float, field: float) -> np.ndarray:
    """Return which points stay if each yields to the earlier ones that stay themselves."""
    stays = np.ones(len(points), bool)
    pairs = cKDTree(points, boxsize=(field, field, 0)).query_pairs(distance, output_type="ndarray")
    # Ordered by the later point, so that every earlier one has been decided on.
    for earlier, later in pairs[np.argsort(pairs[:, 1])]:
        if stays[earlier]:
            stays[later] = False
    return stays


def diameters(distribution: Diameter, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return `number` draws from a truncated normal distribution, in its unit; float64.

    One uniform number each through the inverse of the distribution function.
    """
    d = distribution
    if d.std == 0:
        return np.full(number, d.mean)
    low, high = ndtr((d.min - d.mean) / d.std), ndtr((d.max - d.mean) / d.std)
    draws = d.mean + d.std * ndtri(low + (high - low) * rng.random(number))
    return np.clip(draws, d.min, d.max)  # the inverse rounds


def particle(
    material: Material, shape: str, diameter: float, rng: np.random.Generator
) -> np.ndarray:
    """Return a particle in a uniformly random orientation.

    Parameters
    ----------
    material : Material
        The crystal.
    shape : "sphere" or "wulff"
        A ball cut from the crystal with a random lattice offset, or the Wulff polyhedron whose
        number of atoms comes closest to the ball's; complete shells alone exist, so that the
        smallest have up to a third more or fewer atoms.
    diameter : float
        Diameter of the ball [Å].

    Returns
    -------
    (atoms, 3) float64 array
        Positions about the centre [Å]; at least one.
    """
    if shape == "wulff":
        number = max(1, round(material.atoms_per_A3 * pi / 6 * diameter**3))
        positions = _wulff(material.symbol, number)
    else:
        positions = _ball(material, diameter / 2, rng)
    return positions @ Rotation.random(None, rng).as_matrix().T


def _ball(material: Material, radius: float, rng: np.random.Generator) -> np.ndarray:
    cells = 2 * ceil(radius / material.lattice_A) + 3
    crystal = bulk(material.symbol, material.structure, material.lattice_A, cubic=True) * (
        [cells] * 3
    )
    centre = (cells // 2 + rng.random(3)) * material.lattice_A
    positions = crystal.positions - centre
    r = np.linalg.norm(positions, axis=1)
    return positions[r <= max(radius, r.min())]  # a ball smaller than a hole gets its nearest atom


@lru_cache(maxsize=256)
def _wulff(symbol: str, number: int) -> np.ndarray:
    material = MATERIALS[symbol]
    surfaces, energies = zip(*material.surface_energies.items(), strict=True)
    cluster = wulff_construction(
        symbol, surfaces, energies, number, material.structure, "closest", material.lattice_A
    )
    positions = cluster.positions - cluster.positions.mean(0)
    positions.flags.writeable = False  # the cache hands the same array to everybody
    return positions


def place(
    particles: Sequence[np.ndarray],
    field: float,
    gap: float,
    margin: float,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Return the particles at random places in the periodic field, their lowest atoms at z = 0.

    Parameters
    ----------
    particles : sequence of (atoms, 3) arrays
        Positions about the centre [Å].
    field, gap : float
        Side of the field, and smallest gap between projected outlines [Å].
    margin : float
        How far an outline lies outside the outermost atom's centre [Å].

    Returns
    -------
    list of (atoms, 3) float64 arrays
        Those that found room in :data:`PLACE_TRIES` places; the first always does.

    Raises
    ------
    PassbandError
        If a particle is wider than the field, and so would overlap its own periodic image.
    """
    placed, centres, radii = [], np.empty((0, 2)), np.empty(0)
    for positions in particles:
        radius = np.hypot(*positions.T[:2]).max() + margin
        if 2 * radius > field:
            raise PassbandError(
                f"a particle is {2 * radius:.1f} Å wide, more than the field of view of "
                f"{field:.1f} Å; take a smaller diameter_nm.max or a larger microscope.field_px"
            )
        tries = rng.random((PLACE_TRIES, 2)) * field
        apart = tries[:, None] - centres
        apart -= field * np.round(apart / field)
        fits = (radii + radius + gap <= np.hypot(*apart.T).T).all(1)
        if fits.any():
            centre = tries[fits.argmax()]
            placed.append(positions + np.array([*centre, -positions[:, 2].min()]))
            centres, radii = np.vstack([centres, centre]), np.append(radii, radius)
    return placed


def mask(structure: Structure, sampling: Sampling) -> np.ndarray:
    """Return where the particles are in projection.

    The mask is the closing of the projected atoms: every pixel nearer than R to the pixel of one
    of the particles' atoms, less what lies nearer than R − r to a pixel beyond, with R =
    :data:`CLOSING_A` and r half the nearest-neighbour distance. So the outline runs r outside the
    outermost atoms, as if these were touching discs, while holes between projected columns are
    filled. The substrate is never in it, and the field is periodic.

    Returns
    -------
    (px, px) uint8 array
        1 in the particles, 0 elsewhere; the first axis is x, pixel i is at x = i × pixel size.
    """
    pixel, px = sampling.pixel_A, sampling.px
    atoms = structure.atoms
    x, y = np.rint(atoms.positions[atoms.arrays["particle"] > 0, :2].T / pixel).astype(int) % px
    empty = np.ones((px, px), bool)
    empty[x, y] = False
    pad = ceil(2 * CLOSING_A / pixel) + 1
    near = distance_transform_edt(np.pad(empty, pad, mode="wrap")) * pixel <= CLOSING_A
    if near.all():  # the distance to a background that is nowhere is undefined
        return np.ones((px, px), np.uint8)
    # The nearest pixel beyond lies half a pixel outside the edge, on average.
    depth = (distance_transform_edt(near) - 0.5) * pixel
    inside = depth > CLOSING_A - structure.material.neighbour_A / 2
    return inside[pad:-pad, pad:-pad].astype(np.uint8)
