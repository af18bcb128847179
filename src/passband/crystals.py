"""Crystals and the particles cut from them, in the crystal's own frame. Lengths are Å.

Particles are ``ase.Atoms`` without a cell, about their centre.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil, pi

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.cluster import Decahedron, FaceCenteredCubic, Icosahedron, wulff_construction
from ase.io import read
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError, cKDTree

from passband import PassbandError
from passband.materials import MATERIALS, Material

#: Atoms within this factor of an atom's shortest bond in the perfect crystal are its neighbours;
#: below bcc's second shell at 1.155, above the strain of multiply twinned particles.
BOND = 1.1
#: Atoms whose heights differ by less are in one atomic layer [Å].
_LAYER_A = 0.1
#: Distance of the {100} from that of the {111} faces in the regular truncated octahedron.
_TRUNCATION = 2 / 3**0.5


@dataclass(frozen=True, eq=False)
class Crystal:
    """A unit cell and what follows from it.

    Attributes
    ----------
    name : str
        The material's name, or the file's path.
    structure : str
        "fcc", "bcc", "zincblende", "fluorite", or "file" of any crystal that a file holds.
    cell : ase.Atoms
        The conventional unit cell, or the file's.
    neighbour_A : float
        Shortest distance between two atoms [Å].
    atoms_per_A3 : float
        Atomic density [1/Å³].
    bonds : dict of atomic number to (float, int)
        Each element's shortest bond [Å] and the fewest neighbours within :data:`BOND` times it
        that one of its sites has.
    surface_energies : dict of Miller indices to float
        Surface energies [J/m²], if known.
    """

    name: str
    structure: str
    cell: Atoms
    neighbour_A: float
    atoms_per_A3: float
    bonds: dict[int, tuple[float, int]]
    surface_energies: dict[tuple[int, int, int], float]


@lru_cache(maxsize=64)
def crystal(name: str) -> Crystal:
    """Return the crystal that a configuration's `material` names.

    Parameters
    ----------
    name : str
        A key of :data:`passband.materials.MATERIALS`, or the path of a file that ASE reads.

    Raises
    ------
    PassbandError
        If the file is not a crystal that ASE reads.
    """
    material = MATERIALS.get(name)
    if material:
        return _crystal(
            name,
            material.structure,
            bulk(name, material.structure, material.lattice_A, cubic=True),
            material,
        )
    try:
        cell = read(name)
    except Exception as error:  # ASE's readers raise whatever they stumble on
        said = " ".join(str(error).split()) or type(error).__name__
        raise PassbandError(
            f"material = {name!r}: not a crystal file that ASE reads: {said[:150]}"
        ) from None
    if cell.cell.rank < 3 or not len(cell):
        raise PassbandError(f"material = {name!r}: has no three-dimensional unit cell with atoms")
    return _crystal(name, "file", Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True))


def _crystal(name: str, structure: str, cell: Atoms, material: Material | None = None) -> Crystal:
    # Far enough for every atom of the cell to have its neighbours around it.
    reach = max(6.0, cell.cell.lengths().max())
    n = np.array([ceil(reach / h) for h in _spacings(cell)])
    block = cell * (2 * n + 1)
    start = len(cell) * np.ravel_multi_index(n, 2 * n + 1)
    middle = block.positions[start : start + len(cell)]
    tree = cKDTree(block.positions)
    shortest = tree.query(middle, 2)[0][:, 1]
    if shortest.min() < 0.5:
        raise PassbandError(
            f"material = {name!r}: two atoms are {shortest.min():.2f} Å apart; sites that share "
            "a place, or are partly occupied, cannot be drawn"
        )
    bonds = {}
    for number in np.unique(cell.numbers):
        mine = cell.numbers == number
        bond = shortest[mine].min()
        count = tree.query_ball_point(middle[mine], BOND * bond, return_length=True) - 1
        bonds[int(number)] = float(bond), int(count.min())
    return Crystal(
        name,
        structure,
        cell,
        material.neighbour_A if material else float(shortest.min()),
        material.atoms_per_A3 if material else len(cell) / cell.get_volume(),
        bonds,
        material.surface_energies if material else {},
    )


def _spacings(cell: Atoms) -> np.ndarray:
    """Return the distances between opposite faces of the unit cell [Å]."""
    return 1 / np.linalg.norm(np.linalg.inv(cell.cell.array), axis=0)


def family(cell: np.ndarray, indices: Iterable[int]) -> np.ndarray:
    """Return the unit normals of all planes equivalent to (hkl) by the lattice's symmetry.

    The symmetry is the lattice's own, its holohedry: every integer change of basis that keeps
    the metric tensor (International Tables A, sec. 3.1). For a crystal of lower symmetry than its
    lattice, such as zincblende, a face and its opposite count as alike.

    Parameters
    ----------
    cell : (3, 3) array
        Lattice vectors in rows [Å].
    indices : three int
        Miller indices (hkl).

    Returns
    -------
    (planes, 3) float64 array
        Cartesian unit vectors; planes come with their opposites.
    """
    turned = np.unique(_holohedry(tuple(map(tuple, cell))) @ np.array(indices), axis=0)
    normals = turned @ np.linalg.inv(cell).T
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


@lru_cache(maxsize=64)
def _holohedry(cell: tuple) -> np.ndarray:
    metric = np.array(cell) @ np.array(cell).T
    matrices = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    turned = matrices @ metric @ matrices.transpose(0, 2, 1)
    return matrices[np.abs(turned - metric).max((1, 2)) < 1e-3 * metric.max()]


def block(crystal: Crystal, radius: float, rng: np.random.Generator) -> Atoms:
    """Return a piece of crystal that holds a ball about the origin, a random lattice point.

    Parameters
    ----------
    radius : float
        Of the ball [Å].
    """
    cells = np.array([2 * ceil(radius / h) + 3 for h in _spacings(crystal.cell)])
    atoms = crystal.cell * cells
    atoms.positions -= (cells // 2 + rng.random(3)) @ crystal.cell.cell.array
    return Atoms(atoms.numbers, atoms.positions)


def ball(crystal: Crystal, diameter: float, rng: np.random.Generator) -> Atoms:
    """Return a ball cut from the crystal with a random lattice offset; at least one atom.

    Parameters
    ----------
    diameter : float
        Of the ball [Å].
    """
    atoms = block(crystal, diameter / 2, rng)
    r = np.linalg.norm(atoms.positions, axis=1)
    # A ball smaller than a hole gets its nearest atom.
    return atoms[r <= max(diameter / 2, r.min())]


def polyhedron(
    crystal: Crystal,
    energies: dict[tuple[int, int, int], float],
    diameter: float,
    rng: np.random.Generator,
) -> Atoms:
    """Return the Wulff polyhedron of a crystal, cut with a random lattice offset.

    Wulff's theorem: the face (hkl) lies at a distance from the centre in proportion to its surface
    energy (Herring, *Phys. Rev.* 82, 87, 1951). Faces come in the families of :func:`family`.

    Parameters
    ----------
    energies : dict of Miller indices to float
        Surface energies in any unit.
    diameter : float
        Diameter of the ball of equal volume [Å].

    Returns
    -------
    ase.Atoms
        At least one atom.
    """
    normals, distances = [], []
    for indices, energy in energies.items():
        planes = family(crystal.cell.cell.array, indices)
        normals.append(planes)
        distances.append(np.full(len(planes), energy))
    return _cut(crystal, np.concatenate(normals), np.concatenate(distances), diameter, rng)


def _cut(
    crystal: Crystal,
    normals: np.ndarray,
    distances: np.ndarray,
    diameter: float,
    rng: np.random.Generator,
) -> Atoms:
    """Return what lies inside half-spaces, scaled to the volume of the ball."""
    try:
        corners = HalfspaceIntersection(np.c_[normals, -distances], np.zeros(3)).intersections
        bounded = np.isfinite(corners).all()
    except (QhullError, ValueError):
        bounded = False
    if not bounded:
        raise PassbandError(
            f"surface_energies of {crystal.name!r}: their faces enclose no body; give more of them"
        )
    scale = diameter * (pi / 6 / ConvexHull(corners).volume) ** (1 / 3)
    atoms = block(crystal, scale * np.linalg.norm(corners, axis=1).max(), rng)
    outside = (atoms.positions @ normals.T - scale * distances).max(1)
    return atoms[outside <= max(0.0, outside.min())]


def wulff(name: str, number: int) -> Atoms:
    """Return an fcc element's Wulff particle of complete shells about an atom, by ASE.

    Parameters
    ----------
    name : str
        The element.
    number : int
        Atoms wanted; the nearest number of complete shells is taken, so that the smallest have up
        to a third more or fewer.
    """
    return Atoms(f"{name}{len(_wulff(name, number))}", _wulff(name, number))


@lru_cache(maxsize=256)
def _wulff(symbol: str, number: int) -> np.ndarray:
    material = MATERIALS[symbol]
    surfaces, energies = zip(*material.surface_energies.items(), strict=True)
    cluster = wulff_construction(
        symbol, surfaces, energies, number, _layered, "closest", material.lattice_A
    )
    return _centred(cluster)


def _layered(symbol: str, surfaces: tuple, layers: np.ndarray, latticeconstant: float) -> Atoms:
    """Return the cluster that ASE asks for in its search, which tries a few for every number."""
    return _fcc(symbol, surfaces, tuple(map(int, layers)), latticeconstant)


_fcc = lru_cache(maxsize=256)(FaceCenteredCubic)


def multiply_twinned(name: str, shape: str, number: int) -> Atoms:
    """Return an fcc element's icosahedron or decahedron of complete shells, by ASE.

    Parameters
    ----------
    name : str
        The element.
    shape : "icosahedron" or "decahedron"
        Mackay's icosahedron (*Acta Cryst.* 15, 916, 1962), or the decahedron, of Ino's or Marks's
        form (*Phil. Mag. A* 49, 81, 1984), that comes closest to the number among those about as
        high as wide.
    number : int
        Atoms wanted. Icosahedra have 1, 13, 55, 147, 309, … atoms.
    """
    build = _icosahedron if shape == "icosahedron" else _decahedron
    positions = build(name, number)
    return Atoms(f"{name}{len(positions)}", positions)


@lru_cache(maxsize=256)
def _icosahedron(symbol: str, number: int) -> np.ndarray:
    shells, atoms, last = 1, 1, 0
    while atoms < number:
        shells, last = shells + 1, atoms
        atoms += 10 * (shells - 1) ** 2 + 2
    if number - last < atoms - number:
        shells -= 1
    return _centred(Icosahedron(symbol, max(shells, 1), MATERIALS[symbol].lattice_A))


@lru_cache(maxsize=256)
def _decahedron(symbol: str, number: int) -> np.ndarray:
    forms = []
    for longer, notch in product((0, -1, 1), (1, 0)):
        for p in range(1, 1000):
            if p + longer >= 1:
                forms.append((_decahedron_atoms(p, p + longer, notch), p, p + longer, notch))
                if forms[-1][0] > number:
                    break
    _, *best = min(forms, key=lambda form: abs(form[0] - number))
    return _centred(Decahedron(symbol, *best, MATERIALS[symbol].lattice_A))


@lru_cache(maxsize=1024)
def _decahedron_atoms(p: int, q: int, notch: int) -> int:
    return len(Decahedron("Au", p, q, notch))


def _centred(cluster: Atoms) -> np.ndarray:
    positions = cluster.positions - cluster.positions.mean(0)
    positions.flags.writeable = False  # the caches hand the same array to everybody
    return positions


def grow(
    crystal: Crystal,
    shape: str,
    diameter: float,
    rng: np.random.Generator,
    energies: dict[tuple[int, int, int], float] | None = None,
) -> Atoms:
    """Return a perfect particle of a shape.

    Parameters
    ----------
    crystal : Crystal
        What it is cut from.
    shape : str
        - "sphere": :func:`ball`.
        - "wulff": :func:`wulff` for an fcc element with its own surface energies, else
          :func:`polyhedron`.
        - "cube": the faces (100), (010) and (001) at equal distances.
        - "truncated-octahedron": the regular one, of {111} and {100} faces.
        - "decahedron", "icosahedron": :func:`multiply_twinned`.
    diameter : float
        Diameter of the ball of equal volume, or for shapes of complete shells, of equal number of
        atoms [Å].
    energies : dict of Miller indices to float, optional
        Surface energies of a Wulff particle in place of the crystal's own.

    Returns
    -------
    ase.Atoms
        At least one atom.
    """
    number = max(1, round(crystal.atoms_per_A3 * pi / 6 * diameter**3))
    if shape == "sphere":
        return ball(crystal, diameter, rng)
    if shape in ("decahedron", "icosahedron"):
        return multiply_twinned(crystal.name, shape, number)
    if shape == "cube":
        normals = np.linalg.inv(crystal.cell.cell.array).T
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return _cut(crystal, np.concatenate([normals, -normals]), np.ones(6), diameter, rng)
    if shape == "truncated-octahedron":
        faces = {(1, 1, 1): 1.0, (1, 0, 0): _TRUNCATION}
        return polyhedron(crystal, faces, diameter, rng)
    if crystal.structure == "fcc" and not energies:
        return wulff(crystal.name, number)
    return polyhedron(crystal, energies or crystal.surface_energies, diameter, rng)


def coordination(atoms: Atoms, crystal: Crystal) -> np.ndarray:
    """Return each atom's number of neighbours within :data:`BOND` times its element's bond."""
    tree = cKDTree(atoms.positions)
    reach = BOND * np.array([crystal.bonds[number][0] for number in atoms.numbers])
    return tree.query_ball_point(atoms.positions, reach, return_length=True) - 1


def surface(atoms: Atoms, crystal: Crystal) -> np.ndarray:
    """Return which atoms have fewer neighbours than their element ever has inside the crystal."""
    inside = np.array([crystal.bonds[number][1] for number in atoms.numbers])
    return coordination(atoms, crystal) < inside


def roughen(atoms: Atoms, crystal: Crystal, fraction: float, rng: np.random.Generator) -> Atoms:
    """Return a particle without a fraction of its surface atoms, chosen at random.

    Parameters
    ----------
    fraction : float
        0 to 0.5; the number taken away is rounded.
    """
    at_surface = np.flatnonzero(surface(atoms, crystal))
    gone = rng.choice(at_surface, round(fraction * len(at_surface)), replace=False)
    return atoms[np.setdiff1d(np.arange(len(atoms)), gone)]


def add_planar_defects(
    atoms: Atoms, crystal: Crystal, twins: int, faults: int, rng: np.random.Generator
) -> Atoms:
    """Return a particle with twin planes and stacking faults on one of its {111} families.

    All planes are parallel, their normal one of the four ⟨111⟩, and each lies in another gap
    between two atomic layers, chosen at random. What is above a twin plane is turned by 180° about
    the normal through an atom beside the gap; what is above a stacking fault is shifted by that
    a/6⟨112⟩ that leaves no atom on top of another (Hirth & Lothe, *Theory of Dislocations*, 2nd
    ed., ch. 10). So outlines have a re-entrant angle or a step. In zincblende a twin cuts the
    single bonds along the normal and a fault the glide set, so that as in fcc every atom keeps
    its number of neighbours. In fluorite a twin lies between two layers of anions, where a cation
    loses one of its eight. There is no fault in it: between layers of anions, one sense of a/6⟨112⟩
    puts anion on anion, in CeO2 1.56 Å apart in place of 2.71 Å, and the other cation on cation,
    3.12 Å apart in place of 3.83 Å; between anions and cations it brings two to within 1.56 Å or
    0.78 Å. So a configuration refuses it.

    Parameters
    ----------
    twins, faults : int
        How many; as many as there are gaps if the particle has fewer.

    Returns
    -------
    ase.Atoms
        As many atoms as before, in the same order.
    """
    signs = rng.choice([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)])
    n = signs / 3**0.5
    height = atoms.positions @ n
    order = np.sort(height)
    edges = np.flatnonzero(np.diff(order) > _LAYER_A)
    gaps, widths = (order[edges] + order[edges + 1]) / 2, np.diff(order)[edges]
    # In lattice constants: fcc has gaps of 0.58, zincblende 0.43 and 0.14, fluorite 0.29 and 0.14.
    wide = widths > 0.2 * crystal.cell.cell.lengths()[0]
    glide = ~wide if crystal.structure == "zincblende" else wide
    at_twins = _some(np.flatnonzero(wide), twins, rng)
    at_faults = _some(np.setdiff1d(np.flatnonzero(glide), at_twins), faults, rng)
    atoms = atoms.copy()
    for gap in np.sort(np.concatenate([at_twins, at_faults])):
        above = height > gaps[gap]
        if gap in at_twins:
            _turn(atoms, above, height - gaps[gap], n)
        else:
            _shift(atoms, above, height - gaps[gap], n, crystal, rng)
    return atoms


def _some(of: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(of, min(number, len(of)), replace=False)


def _turn(atoms: Atoms, above: np.ndarray, height: np.ndarray, n: np.ndarray) -> None:
    """Turn what is above by 180° about the normal through an atom just below, near the middle."""
    below = ~above & (height > height[~above].max() - _LAYER_A)
    layer = atoms.positions[below]
    off = layer - atoms.positions.mean(0)
    axis = layer[np.linalg.norm(off - np.outer(off @ n, n), axis=1).argmin()]
    r = atoms.positions[above] - axis
    atoms.positions[above] = axis + 2 * np.outer(r @ n, n) - r


def _shift(
    atoms: Atoms,
    above: np.ndarray,
    height: np.ndarray,
    n: np.ndarray,
    crystal: Crystal,
    rng: np.random.Generator,
) -> None:
    """Shift what is above by an a/6⟨112⟩ in the plane that brings no two atoms too close."""
    signs = np.sign(n)
    vectors = signs * np.array([(1, 1, -2), (1, -2, 1), (-2, 1, 1)])
    vectors = vectors * crystal.cell.cell.lengths()[0] / 6
    under = cKDTree(atoms.positions[~above & (height > height[~above].max() - _LAYER_A)])
    over = atoms.positions[above & (height < height[above].min() + _LAYER_A)]
    nearest = [under.query(over + way * vectors[0])[0].min() for way in (1, -1)]
    way = 1 if nearest[0] >= nearest[1] else -1
    atoms.positions[above] += way * vectors[rng.integers(3)]
