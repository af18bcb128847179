"""Bodies of nanoparticles: which atoms of a crystal belong to a particle. Lengths are in Å.

A body is cut from a crystal by a form, which may have any size and any centre in the unit cell. The
distance of each facet from the centre differs a little from its distance in the perfect form, and
the sites at the surface are filled in a partly random order. Particles are ``ase.Atoms`` without a
cell, with positions relative to the particle's centre.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, inf, pi

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError, cKDTree
from scipy.spatial.transform import Rotation

from passband.config.base import short
from passband.config.crystals import Material
from passband.errors import PassbandError
from passband.parts import Part, PartError
from passband.specimens import shells
from passband.specimens.crystals import Crystal, family, lattice

#: Largest random change of a facet's distance from the centre, as a fraction of the distance.
JITTER = 0.1
#: Mean random delay of a site, given as a height [Å]: a delayed site is filled at the same time as
#: a site that is farther from the centre by this height.
HELD_BACK_A = 0.4
#: Maximum random delay of a site, in bond lengths, so that no atom is missing below the surface.
_MOST_HELD_BACK = 0.5
#: An atom is loose if it has less than this share of the neighbours that it has inside the crystal.
#: Loose atoms are removed.
FEWEST_NEIGHBOURS = 1 / 3


@dataclass(frozen=True, eq=False)
class Form:
    """The shape of a body for any size: sectors around a common point, each with its facets.

    A ball and a single crystal have one sector, a decahedron has five sectors, and an icosahedron
    has twenty. At size s, every facet is s times as far from the common point as at size 1.

    Attributes:
        sectors: (sectors, 3) float64, the axes of the sectors. A point is in the sector along whose
            axis its coordinate is largest. A point on the border between sectors is in several
            sectors.
        normals: (sectors, facets, 3) float64, unit normals of the facets; a ball has no facets.
        distances: (sectors, facets) float64, distances of the facets from the sectors' common point
            at size 1.
        reach: Distance of the body's farthest point from the sectors' common point at size 1.
        volume: Volume of the body at size 1.
        vectors: (sectors, 3, 3) float64, the lattice vectors of the sectors, whose origin is the
            common point; None for a single crystal. The sectors have the fcc structure, strained
            such that they fill space, and neighbouring sectors have a common twin plane.
        is_axial: Whether sectors extend along their last lattice vector in both directions.
    """

    sectors: np.ndarray
    normals: np.ndarray
    distances: np.ndarray
    reach: float
    volume: float
    vectors: np.ndarray | None = None
    is_axial: bool = False

    @property
    def is_twinned(self) -> bool:
        """Whether the body has sectors with lattices of their own."""
        return self.vectors is not None

    @property
    def diameter(self) -> float:
        """Diameter of the ball that has the same volume as the body at size 1."""
        return (6 / pi * self.volume) ** (1 / 3)

    @property
    def width(self) -> float:
        """Twice the reach, divided by the diameter of the ball of equal volume."""
        return 2 * self.reach / self.diameter

    def sizes(self, positions: np.ndarray) -> np.ndarray:
        """Return, for each of (points, 3) positions, the size of a body with this surface point."""
        if not self.normals.size:
            return np.linalg.norm(positions, axis=1)
        heights = (self.normals @ positions.T / self.distances[..., None]).max(1)
        along = self.sectors @ positions.T
        return np.where(along >= along.max(0) - 1e-6, heights, -np.inf).max(0)

    def varied(self, shift: float, rng: np.random.Generator) -> "Form":
        """Return the form with random distances of its facets. The form's `volume` is approximate.

        Args:
            shift: Maximum displacement of all facets together, relative to the sectors' common
                point, at size 1.
        """
        if not self.normals.size:
            return self
        off = shift * rng.random() ** (1 / 3) * Rotation.random(None, rng).apply([0, 0, 1])
        jitter = 1 + JITTER * rng.uniform(-1, 1, self.distances.shape)
        reach = self.reach * (1 + JITTER + shift / self.distances.min())
        distances = self.distances * jitter + self.normals @ off
        return replace(self, distances=distances, reach=reach)


_ONE = np.zeros((1, 3))
BALL = Form(
    sectors=_ONE,
    normals=np.empty((1, 0, 3)),
    distances=np.empty((1, 0)),
    reach=1.0,
    volume=4 / 3 * pi,
)


def form(
    crystal: Crystal, shape: Part, energies: dict[tuple[int, int, int], float] | None = None
) -> Form:
    """Return the form of a shape in a crystal.

    Args:
        energies: Surface energies, by default those of the crystal.

    Raises:
        PassbandError: If the faces enclose no body.
        PartError: If the code of the shape must not run, fails, or returns something else.
    """
    shape.load()  # its errors are first
    given = energies or crystal.surface_energies
    return _form(crystal, shape, tuple(given.items()) if shape.declaration.surface_energies else ())


@lru_cache(maxsize=64)
def _form(
    crystal: Crystal, shape: Part, energies: tuple[tuple[tuple[int, int, int], float], ...]
) -> Form:
    further = (dict(energies),) if shape.declaration.surface_energies else ()
    made = shape.call(shape.load(), crystal, *further)
    if not isinstance(made, Form):
        _check_faces(shape, made)
        planes = [family(crystal.cell.cell.array, indices) for indices in made]
        distances = [
            np.full(len(normals), distance)
            for normals, distance in zip(planes, made.values(), strict=True)
        ]
        made = single(crystal, np.concatenate(planes), np.concatenate(distances), shape)
    if made.is_twinned != shape.declaration.is_twinned:
        raise PartError(
            f"{shape}: is_twinned = {shape.declaration.is_twinned}: the form that it returns has "
            f"{'' if made.is_twinned else 'no '}sectors with lattices of their own"
        )
    return made


def _check_faces(shape: Part, made: object) -> None:
    """Raise PartError if a shape returns no faces with their distances from the centre."""
    right = isinstance(made, Mapping) and made
    for indices, distance in made.items() if right else ():
        right = right and isinstance(indices, tuple) and len(indices) == 3 and any(indices)
        right = right and all(isinstance(index, int) for index in indices)
        right = right and isinstance(distance, int | float) and 0 < distance < inf
    if not right:
        raise PartError(
            f"{shape}: returns {short(made)}; must return the distances of faces by Miller "
            "indices, such as {(1, 1, 1): 1.0}, or a Form"
        )


def single(
    crystal: Crystal, normals: np.ndarray, distances: np.ndarray, shape: Part | None = None
) -> Form:
    """Return the form of a single crystal with the given facets.

    Args:
        normals: (facets, 3), unit normals.
        distances: (facets,), distances of the facets from the centre, in any unit.
        shape: The shape that has these facets, for the error's message.

    Raises:
        PassbandError: If the facets enclose no body.
    """
    try:
        corners = corners_of(normals, distances)
        bounded = np.isfinite(corners).all()
    except (QhullError, ValueError):
        bounded = False
    if not bounded:
        of = f"{shape}" if shape and shape.is_own else "surface_energies"
        raise PassbandError(
            f"{of} of {crystal.name!r}: their faces enclose no body; give more faces"
        )
    reach, volume = measures(corners)
    return Form(
        sectors=_ONE,
        normals=normals[None],
        distances=distances[None],
        reach=reach,
        volume=volume,
    )


def corners_of(
    normals: np.ndarray, distances: np.ndarray, inside: Sequence[float] = (0, 0, 0)
) -> np.ndarray:
    """Return the corners of a convex body, (corners, 3), by its facets and a point inside it."""
    halfspaces = np.c_[normals, -distances]
    return HalfspaceIntersection(halfspaces, np.array(inside, float)).intersections


def measures(corners: np.ndarray) -> tuple[float, float]:
    """Return the reach and the volume of a convex body with the given corners."""
    return float(np.linalg.norm(corners, axis=1).max()), float(ConvexHull(corners).volume)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (…, 3) with the length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@lru_cache(maxsize=64)
def _twinned_lattice(form: Form, material: Material, bonds: int) -> Atoms:
    """Return the atoms of all sectors within so many bond lengths of the sectors' common point."""
    steps = np.arange(2 * bonds + 1)
    along = np.arange(-2 * bonds, bonds + 1) if form.is_axial else steps
    steps = np.stack(np.meshgrid(steps, steps, along, indexing="ij"), -1).reshape(-1, 3)
    points = np.concatenate(steps @ form.vectors)
    points = points[np.linalg.norm(points, axis=1) <= bonds * material.neighbour_A]
    # Points on twin planes belong to two sectors.
    _, first = np.unique(np.round(points, 3) + 0.0, axis=0, return_index=True)
    numbers = np.full(len(first), atomic_numbers[material.symbol])
    return Atoms(numbers=numbers, positions=points[np.sort(first)])


def grow(
    crystal: Crystal,
    shape: Part,
    diameter: float,
    rng: np.random.Generator,
    energies: dict[tuple[int, int, int], float] | None = None,
    closed_shells: bool = False,
) -> Atoms:
    """Return a particle of a shape, without defects.

    The form grows, and each site of the crystal is filled when the form reaches it, until the
    particle has the required number of atoms. The filling of each site is delayed by a random
    height. This height has an exponential distribution with the mean :data:`HELD_BACK_A`. The
    distance of each facet from the centre changes at random by up to the fraction :data:`JITTER`,
    see :meth:`Form.varied`. An atom is loose if it has less than :data:`FEWEST_NEIGHBOURS` of the
    neighbours that atoms of its element have inside the crystal. Loose atoms are removed, and the
    next sites are filled instead. In particles with at most as many atoms as one atom together with
    its neighbours, loose atoms are not removed.

    Args:
        shape: The shape, see :mod:`passband.specimens.shapes`. The centre of a single crystal is at
            a random point of the unit cell. The common point of a body with several sectors is
            within half a bond length of its centre.
        diameter: Diameter of the ball of equal volume [Å]. The particle has as many atoms as the
            crystal has in the volume of this ball. If the particle would then have loose atoms, it
            has the nearest possible number of atoms without loose atoms.
        energies: Surface energies of a Wulff shape, in any unit. By default, they are those of the
            crystal.
        closed_shells: Whether the particle has complete atomic shells, with the nearest possible
            number of atoms, see :func:`passband.specimens.shells.cluster`. Then the particle does
            not depend on `rng`.

    Returns:
        The particle, with at least one atom. Positions are relative to the mean of all positions.

    Raises:
        PassbandError: If the faces of the given surface energies enclose no body.
    """
    number = max(1, round(crystal.atoms_per_A3 * pi / 6 * diameter**3))
    if closed_shells:
        return shells.cluster(crystal.material, shape.name, number)
    perfect = form(crystal, shape, energies)
    size = diameter / perfect.diameter
    offset = rng.random(3)
    shift = min(crystal.neighbour_A / 2 / size, 0.25) if perfect.is_twinned else 0.0
    varied = perfect.varied(shift, rng)
    radius = size * varied.reach + crystal.neighbour_A / 2
    while True:
        if perfect.is_twinned:
            bonds = ceil(radius / crystal.neighbour_A)
            sites = _twinned_lattice(perfect, crystal.material, bonds)
        else:
            sites = lattice(crystal, radius, offset)
        held_back = HELD_BACK_A * rng.exponential(size=len(sites))
        held_back = np.minimum(held_back, _MOST_HELD_BACK * crystal.neighbour_A)
        sizes = varied.sizes(sites.positions) + 2 / perfect.diameter * held_back
        order = np.argsort(sizes, kind="stable")
        # Beyond this size, some sites of the crystal are outside the block of sites.
        order = order[: np.searchsorted(sizes[order], radius / varied.reach)]
        filled = _filled(sites.numbers[order], sites.positions[order], number, crystal)
        if len(filled):
            positions = sites.positions[order[filled]]
            positions -= positions.mean(0)
            return Atoms(numbers=sites.numbers[order[filled]], positions=positions)
        radius *= 1.2


def _filled(
    numbers: np.ndarray, positions: np.ndarray, number: int, crystal: Crystal
) -> np.ndarray:
    """Return the indices of the filled sites, or an empty array if there are too few sites.

    The sites are given in the order in which they are filled. The result is the first n sites,
    without those of loose atoms. The number of atoms in the result increases with n. The number n
    is chosen such that the number of atoms is closest to `number`.
    """
    sites = np.arange(len(numbers))
    if len(sites) < number:
        return sites[:0]
    if number <= max(neighbours for _, neighbours in crystal.bonds.values()) + 1:
        return sites[:number]
    inside = crystal.inside(numbers)
    pairs = _neighbours(numbers, positions, crystal)

    def firm(n: int) -> np.ndarray:
        return np.flatnonzero(_firm(sites < n, inside, *pairs))

    low = n = number
    while lacking := max(0, number - len(firm(n))):
        low = n + 1
        n += lacking
        if n > len(sites):
            return sites[:0]
    n = bisect_left(range(n), number, low, key=lambda n: len(firm(n)))
    return min(firm(n - 1), firm(n), key=lambda filled: abs(len(filled) - number))


def without_loose(atoms: Atoms, crystal: Crystal) -> Atoms:
    """Return a particle without its loose atoms. If all its atoms are loose, it is unchanged."""
    pairs = _neighbours(atoms.numbers, atoms.positions, crystal)
    firm = _firm(np.ones(len(atoms), bool), crystal.inside(atoms.numbers), *pairs)
    return atoms[firm] if firm.any() else atoms


def _firm(
    stays: np.ndarray, inside: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return which atoms remain after loose atoms are removed repeatedly, until none is left."""
    while True:
        there = stays[first] & stays[second]
        neighbours = np.bincount(first[there], minlength=len(stays))
        loose = stays & (neighbours < FEWEST_NEIGHBOURS * inside - 1e-9)
        if not loose.any():
            return stays
        stays = stays & ~loose


def _neighbours(
    numbers: np.ndarray, positions: np.ndarray, crystal: Crystal
) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of neighbours as two arrays of atom indices."""
    reach = crystal.reach(numbers)
    pairs = cKDTree(positions).query_pairs(reach.max(), output_type="ndarray")
    apart = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    first, second = np.concatenate([pairs, pairs[:, ::-1]]).T
    near = np.tile(apart, 2) <= reach[first]
    return first[near], second[near]
