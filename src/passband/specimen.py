"""Random atomic structures and their ground truth: nanoparticles on amorphous carbon.

Inside this module lengths are Å; ``config.Specimen`` gives diameters, gap and thickness in nm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from scipy.constants import N_A
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from passband import PassbandError, crystals, thermal
from passband.config import Diameter, Orientation, Specimen, Study, miller
from passband.crystals import Crystal
from passband.materials import MATERIALS, Material
from passband.sampling import Sampling
from passband.seeds import generator
from passband.units import A_PER_NM

#: Height of a particle's lowest atom above the substrate's top [Å]; about the sum of the covalent
#: radii of carbon and a noble metal.
CONTACT_A = 2.2
#: Vacuum above and below the atoms, so that none lies on the cell's border [Å].
PADDING_A = 2.0
#: Reach of the mask's closing [Å]: holes between projected columns are filled up to this radius.
CLOSING_A = 3.0
#: Faces of the substrate: the one that the beam leaves by, and the one that it meets.
FACES = ("top", "bottom")
#: Random places tried for a particle before the structure does without it.
PLACE_TRIES = 500
#: Particles that :func:`check` draws.
CHECK_DRAWS = 8
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
    material : Material or Crystal
        What the particles are made of; its `neighbour_A` is what the masks want to know.
    faces : tuple of int
        The face that each particle lies on, as an index of :data:`FACES`.
    """

    atoms: Atoms
    material: Material | Crystal
    faces: tuple[int, ...]


def draw(specimen: Specimen, sampling: Sampling, rng: np.random.Generator) -> Structure:
    """Return a random structure.

    The number of particles is uniform, diameters are :func:`diameters`, particles are
    :func:`particle`, places uniform over the periodic field. Outlines of particles on the same face
    are taken as circles, circumscribed in projection, that stay `gap_nm` apart; a particle that
    finds no room in :data:`PLACE_TRIES` places is left out, so that a crowded field holds fewer,
    but always one. With particles on both faces, each has either face with probability ½, and
    those on opposite faces may overlap in projection, as in a real image. A substrate whose
    thickness has a spread has a normal one, cut off at 0.

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
    crystal, field = crystals.crystal(specimen.material), sampling.field_A
    thickness = _thickness(specimen, rng)
    substrate = amorphous_carbon(
        field,
        thickness,
        specimen.substrate.density_g_per_cm3,
        specimen.substrate.minimum_distance_A,
        rng,
    )
    number = rng.integers(specimen.particles.min, specimen.particles.max, endpoint=True)
    drawn = [
        particle(crystal, specimen, diameter * A_PER_NM, rng)
        for diameter in diameters(specimen.diameter_nm, number, rng)
    ]
    both = specimen.substrate.faces == "both"
    lies_on = rng.integers(len(FACES), size=number) if both else np.zeros(number, int)
    particles, faces = [], []
    for face in range(len(FACES)):
        of_face = [p for p, on in zip(drawn, lies_on, strict=True) if on == face]
        places = place(
            [p.positions for p in of_face],
            field,
            specimen.gap_nm * A_PER_NM,
            crystal.neighbour_A / 2,
            rng,
        )
        for p, positions in zip(of_face, places, strict=True):
            if positions is not None:
                z = -CONTACT_A - positions[:, 2].max() if face else thickness + CONTACT_A
                particles.append((p.numbers, positions + np.array([0, 0, z])))
                faces.append(face)
    positions = np.concatenate([substrate, *(p for _, p in particles)])
    positions[:, :2] %= field
    positions[:, 2] += PADDING_A - positions[:, 2].min()
    sizes = [len(substrate), *(len(p) for _, p in particles)]
    atoms = Atoms(
        np.concatenate([np.full(len(substrate), 6), *(n for n, _ in particles)]),
        positions,
        cell=[field, field, positions[:, 2].max() + PADDING_A],
        pbc=(True, True, False),
    )
    atoms.new_array("particle", np.repeat(np.arange(len(sizes)), sizes))
    return Structure(atoms, MATERIALS.get(specimen.material, crystal), tuple(faces))


def check(study: Study) -> None:
    """Draw particles of a study's unsettled specimens, so that what is wrong shows before it runs.

    They are of the largest diameter, and need room in the field. What one form or orientation in
    many brings about may still show in :func:`draw` alone.

    Parameters
    ----------
    study : config.Study
        Those of its specimens that are not `settled` are looked at.

    Raises
    ------
    PassbandError
        If a crystal file is none, an element of it has no mean square displacement, or a particle
        cannot be grown or is wider than the field.
    """
    for name, specimen in study.specimens.items():
        if specimen.settled:
            continue
        rng, sampling = generator("check", name), study.microscope.sampling
        try:
            crystal = crystals.crystal(specimen.material)
            thermal.mean_squares(specimen, sorted(set(crystal.cell.get_chemical_symbols())))
            for _ in range(CHECK_DRAWS):
                drawn = particle(crystal, specimen, specimen.diameter_nm.max * A_PER_NM, rng)
                place([drawn.positions], sampling.field_A, 0.0, crystal.neighbour_A / 2, rng)
        except PassbandError as error:
            raise PassbandError(f"specimens.{name}: {error}") from None


def _thickness(specimen: Specimen, rng: np.random.Generator) -> float:
    """Return the substrate's thickness [Å], from a normal distribution cut off at 0."""
    mean, std = specimen.substrate.thickness_nm, specimen.substrate.thickness_std_nm
    if std:
        low = ndtr(-mean / std)
        mean = max(0.0, mean + std * ndtri(low + (1 - low) * rng.random()))
    return mean * A_PER_NM


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
            tree = _tree(kept, field)
            new = new[np.isinf(tree.query(new, distance_upper_bound=distance)[0])]
        new = new[_first_come(new, distance, field)]
        kept = np.concatenate([kept, new[: number - len(kept)]])
    raise PassbandError(
        f"amorphous carbon of {density:g} g/cm³ cannot be reached with no two atoms closer than "
        f"{distance:g} Å; take a lower substrate.density_g_per_cm3 or a smaller minimum_distance_A"
    )


def _tree(points: np.ndarray, field: float) -> cKDTree:
    # Uniform points need no balancing, and are found in half the time without.
    return cKDTree(points, boxsize=(field, field, 0), balanced_tree=False)


def _first_come(points: np.ndarray, distance: float, field: float) -> np.ndarray:
    """Return which points stay if each yields to the earlier ones that stay themselves."""
    pairs = _tree(points, field).query_pairs(distance, output_type="ndarray")
    stays = np.ones(len(points), bool)
    while len(pairs):
        # Nothing stands in the way of those that are nobody's later one.
        earlier, later = pairs.T
        sure = np.ones(len(points), bool)
        sure[later] = False
        stays[later[sure[earlier]]] = False
        # A pair is settled when its earlier point is: that one stays, or is gone.
        pairs = pairs[stays[later] & stays[earlier] & ~sure[earlier]]
    return stays


def diameters(distribution: Diameter, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return `number` draws from a distribution cut off at both ends, in its unit; float64.

    One uniform number each through the inverse of the distribution function. Of a lognormal
    distribution, `mean` and `std` are its own, before the ends are cut off, not its logarithm's:
    ln d has the variance s² = ln(1 + std²/mean²) and the mean ln(mean) − s²/2.
    """
    d = distribution
    if d.distribution == "uniform":
        return d.min + (d.max - d.min) * rng.random(number)
    if d.std == 0:
        return np.full(number, d.mean)
    if d.distribution == "lognormal":
        s = np.sqrt(np.log1p((d.std / d.mean) ** 2))
        mean, std, ends = np.log(d.mean) - s**2 / 2, s, np.log([d.min, d.max])
    else:
        mean, std, ends = d.mean, d.std, (d.min, d.max)
    low, high = ndtr((ends[0] - mean) / std), ndtr((ends[1] - mean) / std)
    draws = mean + std * ndtri(low + (high - low) * rng.random(number))
    if d.distribution == "lognormal":
        draws = np.exp(draws)
    return np.clip(draws, d.min, d.max)  # the inverse rounds


def particle(
    crystal: Crystal, specimen: Specimen, diameter: float, rng: np.random.Generator
) -> Atoms:
    """Return a particle of a specimen: grown, twinned and faulted, roughened, turned.

    Parameters
    ----------
    crystal : Crystal
        What it is made of.
    specimen : config.Specimen
        Its shape, surface energies, defects, roughness and orientation.
    diameter : float
        See :func:`passband.crystals.grow` [Å].

    Returns
    -------
    ase.Atoms
        About the centre, without a cell; at least one atom.
    """
    energies = {miller(name): energy for name, energy in specimen.surface_energies.items()}
    atoms = crystals.grow(crystal, specimen.shape, diameter, rng, energies)
    twins, faults = (
        rng.integers(planes.min, planes.max, endpoint=True) if planes.max else 0
        for planes in (specimen.twins, specimen.stacking_faults)
    )
    if twins or faults:
        atoms = crystals.add_planar_defects(atoms, crystal, twins, faults, rng)
        atoms.positions -= atoms.positions.mean(0)
    if specimen.roughness:
        atoms = crystals.roughen(atoms, crystal, specimen.roughness, rng)
    turn = orientation(specimen.orientation, crystal, rng)
    atoms.positions = atoms.positions @ turn.as_matrix().T
    return atoms


def orientation(distribution: Orientation, crystal: Crystal, rng: np.random.Generator) -> Rotation:
    """Return a random rotation of a crystal.

    Uniform over all rotations without a zone. With one, its axis lies within an angle of the beam,
    uniform over that cap of the sphere, and the rotation about it is uniform.
    """
    if not distribution.zone:
        return Rotation.random(None, rng)
    axis = np.array(distribution.zone) @ crystal.cell.cell.array
    to_beam, _ = Rotation.align_vectors([[0, 0, 1]], [axis / np.linalg.norm(axis)])
    about_zone, azimuth = 2 * np.pi * rng.random(2)
    tilt = np.arccos(1 - (1 - np.cos(np.radians(distribution.within_deg))) * rng.random())
    return Rotation.from_euler("zyz", [about_zone, tilt, azimuth]) * to_beam


def place(
    particles: Sequence[np.ndarray],
    field: float,
    gap: float,
    margin: float,
    rng: np.random.Generator,
) -> list[np.ndarray | None]:
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
    list of (atoms, 3) float64 arrays or None
        None for those that found no room in :data:`PLACE_TRIES` places; the first always does.

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
        else:
            placed.append(None)
    return placed


def instances(structure: Structure, sampling: Sampling) -> np.ndarray:
    """Return which particle is where in projection, by the face that it lies on.

    A particle's mask is the morphological closing, by a disc of radius R − r, of discs of radius r
    about its projected atoms, with r half the nearest-neighbour distance and R = :data:`CLOSING_A`:
    touching discs, and the holes between projected columns filled. On pixels it is every pixel
    within R of an atom's pixel, less what lies within R − r of the edge of these, in the exact
    Euclidean distance. The field is periodic, the substrate in no mask, and a particle's mask does
    not depend on the other particles.

    Particles on opposite faces may overlap in projection, so that each face has an image of labels
    of its own. Those on one face keep their gap; of a pixel that two touch all the same, with a gap
    of less than a pixel or two, the later has it. The semantic mask is where any face has a
    particle, ``instances(…).any(0)``.

    Returns
    -------
    (2, px, px) uint8 array
        By face, in the order of :data:`FACES`, 0 or the particle's number in the array
        ``particle``. The second axis is x; pixel i is at x = i × pixel size.
    """
    numbers, xy = structure.atoms.arrays["particle"], structure.atoms.positions[:, :2]
    labels = np.zeros((len(FACES), sampling.px, sampling.px), np.uint8)
    for number, face in enumerate(structure.faces, 1):
        rim = structure.material.neighbour_A / 2
        x, y, inside = _closing(xy[numbers == number], rim, sampling)
        labels[face, x[inside], y[inside]] = number
    return labels


def _closing(
    points: np.ndarray, rim: float, sampling: Sampling
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a window around a particle, as x and y of its pixels, and what of it is inside.

    The outline lies `rim` outside the outermost points [Å]. The window is as large as it must be,
    since its pixels are what a mask costs.
    """
    pixel, reach = sampling.pixel_A, max(CLOSING_A, rim)
    pad = ceil(reach / pixel) + 1  # the pixels at the border are beyond reach
    starts, places = zip(*(_unwrap(i, sampling.px) for i in _pixels(points, sampling)), strict=True)
    empty = np.ones([place.max() + 1 + 2 * pad for place in places], bool)
    empty[tuple(place + pad for place in places)] = False
    near = distance_transform_edt(empty) * pixel <= reach
    # The nearest pixel beyond lies half a pixel outside the edge, on average.
    inside = (distance_transform_edt(near) - 0.5) * pixel > reach - rim
    x, y = (
        (start - pad + np.arange(size)) % sampling.px
        for start, size in zip(starts, empty.shape, strict=True)
    )
    return *np.broadcast_arrays(x[:, None], y), inside


def _pixels(points: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Return the (2, points) pixels that points are in."""
    return np.rint(points.T / sampling.pixel_A).astype(int) % sampling.px


def _unwrap(pixels: np.ndarray, px: int) -> tuple[int, np.ndarray]:
    """Return where a periodic axis is best cut, behind its widest gap, and pixels from there on."""
    taken = np.unique(pixels)
    widest = np.diff(taken, append=taken[0] + px).argmax()
    start = taken[(widest + 1) % len(taken)]
    return start, (pixels - start) % px
