"""Crystals, their symmetry, and defects of particles that are cut from crystals. Lengths are in Å.

Particles are ``ase.Atoms`` without a cell, in the coordinate system of the crystal.
"""

import signal
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from scipy.spatial import cKDTree

from passband.config import Specimen
from passband.config.crystals import MATERIALS, Material
from passband.errors import PassbandError

#: An atom's neighbours are the atoms within this factor times the shortest bond of the atom's
#: element in the perfect crystal. The factor is less than the distance of the second shell of
#: neighbours in bcc, which is 1.155 bonds. It is large enough for the strained bonds of multiply
#: twinned particles.
BOND = 1.1
#: Atoms whose heights differ by less than this distance are in the same atomic layer [Å].
_LAYER_A = 0.1
#: Maximum numbers of atoms in the search for neighbours, and in the block from which a body is cut.
_MOST_AROUND, _MOST_IN_BLOCK = 1_000_000, 20_000_000
#: Maximum processor time that ASE may need to read a crystal file [s].
READ_S = 1
#: Atomic numbers with known scattering factors (Lobato & Van Dyck, *Acta Cryst.* A70, 636, 2014).
ELEMENTS = range(1, 104)


@dataclass(frozen=True, eq=False)
class Crystal:
    """A unit cell, and the properties that follow from it.

    Attributes:
        name: The material's name, or the file's path.
        structure: "fcc", "bcc", "zincblende", "fluorite", or "file" for a crystal from a file.
        cell: The conventional unit cell, or the unit cell in the file.
        neighbour_A: Shortest distance between two atoms [Å].
        bonds: For each element, the length of the shortest bond [Å], and the number of neighbours
            within :data:`BOND` times this length. If an element is at several sites of the crystal,
            the number is the smallest of all sites.
        surface_energies: Surface energies [J/m²]; empty if the surface energies are not known.
        material: The material; None for a crystal from a file.
    """

    name: str
    structure: str
    cell: Atoms
    neighbour_A: float
    atoms_per_A3: float
    bonds: dict[int, tuple[float, int]]
    surface_energies: dict[tuple[int, int, int], float]
    material: Material | None = None

    def inside(self, numbers: np.ndarray) -> np.ndarray:
        """Return the number of neighbours that atoms of these elements have in the crystal."""
        return np.array([self.bonds[number][1] for number in numbers.tolist()])

    def reach(self, numbers: np.ndarray) -> np.ndarray:
        """Return the distance [Å] within which atoms of these elements have their neighbours."""
        return BOND * np.array([self.bonds[number][0] for number in numbers.tolist()])


def of_specimen(specimen: Specimen) -> Crystal:
    """Return the crystal of a specimen's particles, see :func:`crystal`."""
    return crystal(specimen.material, specimen.file, specimen.known)


@lru_cache(maxsize=64)
def crystal(name: str, file: Path | None = None, material: Material | None = None) -> Crystal:
    """Return the crystal that a configuration's `material` names.

    Args:
        name: The name of the material, or the path of a file that ASE reads.
        file: Path of the crystal file, if it differs from `name`.
        material: The material, by default the package's one of this name.

    Raises:
        PassbandError: If ASE cannot read the file as a crystal, or does not know the material.
    """
    material = material or MATERIALS.get(name)
    if material:
        try:
            cell = bulk(material.symbol, material.structure, material.lattice_A, cubic=True)
        except (KeyError, ValueError, RuntimeError) as error:
            raise PassbandError(
                f"material = {name!r}: ASE makes no {material.structure} crystal of "
                f"{material.symbol}: {error}"
            ) from None
        _check_cell(name, cell)
        return _crystal(name, material.structure, cell, material)
    try:
        with _seconds(READ_S), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # errors are reported below, in one line
            cell = read(file or name)
    except _TooLong:
        raise PassbandError(
            f"material = {name!r}: ASE has not read it in {READ_S} s; give a smaller file"
        ) from None
    except Exception as error:  # ASE's readers raise many kinds of errors
        said = " ".join(str(error).split()) or type(error).__name__
        raise PassbandError(
            f"material = {name!r}: not a crystal file that ASE reads: {said[:150]}"
        ) from None
    _check_cell(name, cell)
    return _crystal(name, "file", Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True))


def _check_cell(name: str, cell: Atoms) -> None:
    """Raise a PassbandError if a cell is not the unit cell of a crystal."""
    if not isinstance(cell, Atoms) or not len(cell):
        raise PassbandError(f"material = {name!r}: has no three-dimensional unit cell with atoms")
    vectors = cell.cell.array
    if not (np.isfinite(cell.positions).all() and np.isfinite(vectors).all()):
        raise PassbandError(f"material = {name!r}: has a position that is not a finite number")
    if np.abs(vectors).max() > 1000:
        raise PassbandError(
            f"material = {name!r}: its unit cell is {np.abs(vectors).max():.4g} Å long; must not "
            "exceed 1000 Å"
        )
    if cell.cell.rank < 3:
        raise PassbandError(f"material = {name!r}: has no three-dimensional unit cell with atoms")
    if np.linalg.det(vectors) < 0:
        raise PassbandError(
            f"material = {name!r}: its cell vectors are left-handed, as with a negative length; "
            "give positive lengths, and vectors in right-handed order"
        )
    if strange := sorted(set(cell.numbers.tolist()) - set(ELEMENTS)):
        raise PassbandError(
            f"material = {name!r}: has an atom of atomic number {strange[0]}; must be between "
            f"{ELEMENTS[0]} and {ELEMENTS[-1]}"
        )
    far = np.abs(cell.get_scaled_positions(wrap=False)).max()
    if far > 10:
        raise PassbandError(
            f"material = {name!r}: an atom is {far:,.0f} cells outside its unit cell; must "
            "be inside"
        )


class _TooLong(BaseException):
    """Too much time for a crystal file; a BaseException, so that ASE does not catch it."""


@contextmanager
def _seconds(most: float) -> Iterator[None]:
    """Raise :class:`_TooLong` after `most` seconds of processor time.

    Nothing is raised if the operating system does not measure processor time, or outside the main
    thread.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGPROF"):
        yield
        return

    def end(*_):
        raise _TooLong

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _crystal(name: str, structure: str, cell: Atoms, material: Material | None = None) -> Crystal:
    # The block of unit cells contains all neighbours of every atom in the middle unit cell.
    reach = max(6.0, cell.cell.lengths().max())
    spacings = _spacings(cell)
    n = np.ceil(reach / spacings)
    if not len(cell) * np.prod(2 * n + 1) <= _MOST_AROUND:
        sides = ", ".join(f"{side:.3g}" for side in cell.cell.lengths())
        raise PassbandError(
            f"material = {name!r}: its unit cell of {sides} Å, with opposite faces "
            f"{spacings.min():.2g} Å apart (atoms: {len(cell):,}), is too large or too flat"
        )
    n = n.astype(int)
    block = cell * (2 * n + 1)
    start = len(cell) * np.ravel_multi_index(n, 2 * n + 1)
    middle = block.positions[start : start + len(cell)]
    tree = cKDTree(block.positions)
    shortest = tree.query(middle, 2)[0][:, 1]
    if shortest.min() < 0.5:
        raise PassbandError(
            f"material = {name!r}: two atoms are {shortest.min():.2f} Å apart; the file must not "
            "have sites that share a position or are partly occupied"
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
        material,
    )


def _spacings(cell: Atoms) -> np.ndarray:
    """Return the distances between opposite faces of the unit cell [Å]."""
    return 1 / np.linalg.norm(np.linalg.inv(cell.cell.array), axis=0)


def family(cell: np.ndarray, indices: Iterable[int]) -> np.ndarray:
    """Return the unit normals of all planes that are equivalent to (hkl) by the lattice's symmetry.

    The symmetry operations are the holohedry of the lattice: all integer changes of basis that do
    not change the metric tensor (International Tables A, sec. 3.1). So a face and the opposite face
    are equivalent. This is so also in a crystal that has less symmetry than its lattice, such as
    zincblende.

    Args:
        cell: (3, 3), lattice vectors in rows [Å].
        indices: Miller indices (hkl).

    Returns:
        (planes, 3) float64: Cartesian unit vectors, one for every plane and one for the opposite
        plane.
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


def lattice(crystal: Crystal, radius: float, offset: np.ndarray) -> Atoms:
    """Return the atoms within a radius [Å] around a point, which is the origin of the result.

    `offset` is the point in the unit cell, in lattice vectors.

    Raises:
        PassbandError: If a block of more than 20 million atoms would be needed.
    """
    cell, basis = crystal.cell.cell.array, crystal.cell.get_scaled_positions(wrap=False) - offset
    most = np.ceil(radius / _spacings(crystal.cell) + np.abs(basis).max(0))
    if not len(basis) * np.prod(2 * most + 1) <= _MOST_IN_BLOCK:
        raise PassbandError(
            f"a particle of {crystal.name!r} reaches {radius:,.0f} Å from its centre, and would be "
            f"cut from more than {_MOST_IN_BLOCK:,} atoms; take a smaller diameter_nm.max, or "
            "surface energies that differ less"
        )
    most = most.astype(int)
    cells = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), -1)
    positions = (cells.reshape(-1, 1, 3) + basis).reshape(-1, 3) @ cell
    near = np.linalg.norm(positions, axis=1) <= radius
    numbers = np.tile(crystal.cell.numbers, len(positions) // len(basis))
    return Atoms(numbers=numbers[near], positions=positions[near])


def coordination(atoms: Atoms, crystal: Crystal) -> np.ndarray:
    """Return each atom's number of neighbours: atoms within :data:`BOND` × its shortest bond."""
    tree, reach = cKDTree(atoms.positions), crystal.reach(atoms.numbers)
    return tree.query_ball_point(atoms.positions, reach, return_length=True) - 1


def surface(atoms: Atoms, crystal: Crystal) -> np.ndarray:
    """Return which atoms have fewer neighbours than atoms of their element have in the crystal."""
    return coordination(atoms, crystal) < crystal.inside(atoms.numbers)


def roughen(atoms: Atoms, crystal: Crystal, fraction: float, rng: np.random.Generator) -> Atoms:
    """Return a particle after a fraction (0 to 0.5) of its surface atoms is removed at random."""
    at_surface = np.flatnonzero(surface(atoms, crystal))
    removed = rng.choice(at_surface, round(fraction * len(at_surface)), replace=False)
    return atoms[np.setdiff1d(np.arange(len(atoms)), removed)]


def add_planar_defects(
    atoms: Atoms, crystal: Crystal, twins: int, faults: int, rng: np.random.Generator
) -> Atoms:
    """Return a particle with twin planes and stacking faults on one of its {111} families.

    All twin planes and stacking faults of the particle are parallel, and their common normal is one
    of the four ⟨111⟩ directions. Each twin plane or fault is in a different gap between two atomic
    layers; the gaps are chosen at random. The atoms above a twin plane are rotated by 180° about
    the normal that passes through an atom below the gap. The atoms above a stacking fault are
    shifted by a vector a/6⟨112⟩ that puts no atom on top of another (Hirth & Lothe, *Theory of
    Dislocations*, 2nd ed., ch. 10). So a twin plane makes a re-entrant angle in the outline of the
    particle, and a stacking fault makes a step.

    In zincblende, a twin plane is in a gap whose bonds are along the normal, and a stacking fault
    is in a gap of the glide set. So in zincblende every atom keeps its number of neighbours, as in
    fcc. In fluorite, a twin plane is between two layers of anions, where a cation loses one of its
    eight neighbours. The configuration refuses stacking faults in fluorite, since every shift
    a/6⟨112⟩ puts atoms on top of each other. If the shift is between two layers of anions, one
    sense of a/6⟨112⟩ puts an anion on an anion (in CeO2 1.56 Å apart instead of 2.71 Å). The
    opposite sense puts a cation on a cation (3.12 Å apart instead of 3.83 Å). If the shift is
    between a layer of anions and a layer of cations, it brings two atoms to within 1.56 Å or
    0.78 Å of each other.

    Args:
        twins, faults: Numbers of twin planes and of stacking faults. If the particle has fewer gaps
            between atomic layers, the numbers are reduced.

    Returns:
        The particle with the defects: the same number of atoms, in the same order.
    """
    signs = rng.choice([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)])
    n = signs / 3**0.5
    height = atoms.positions @ n
    order = np.sort(height)
    edges = np.flatnonzero(np.diff(order) > _LAYER_A)
    gaps, widths = (order[edges] + order[edges + 1]) / 2, np.diff(order)[edges]
    # Widths of gaps in lattice constants: 0.58 in fcc, 0.43 and 0.14 in zincblende, 0.29 and 0.14
    # in fluorite.
    wide = widths > 0.2 * crystal.cell.cell.lengths()[0]
    glide = ~wide if crystal.structure == "zincblende" else wide
    at_twins = _choose(np.flatnonzero(wide), twins, rng)
    at_faults = _choose(np.setdiff1d(np.flatnonzero(glide), at_twins), faults, rng)
    atoms = atoms.copy()
    for gap in np.sort(np.concatenate([at_twins, at_faults])):
        above = height > gaps[gap]
        if gap in at_twins:
            _turn(atoms, above, height - gaps[gap], n)
        else:
            _shift(atoms, above, height - gaps[gap], n, crystal, rng)
    return atoms


def _choose(gaps: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(gaps, min(number, len(gaps)), replace=False)


def _turn(atoms: Atoms, above: np.ndarray, height: np.ndarray, n: np.ndarray) -> None:
    """Rotate the atoms above the gap by 180°.

    The rotation axis is along the normal. It passes through an atom of the layer below the gap: the
    atom that is closest to the middle of the particle.
    """
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
    """Shift the atoms above the gap by the a/6⟨112⟩ in its plane that keeps atoms farther apart."""
    signs = np.sign(n)
    vectors = signs * np.array([(1, 1, -2), (1, -2, 1), (-2, 1, 1)])
    vectors = vectors * crystal.cell.cell.lengths()[0] / 6
    under = cKDTree(atoms.positions[~above & (height > height[~above].max() - _LAYER_A)])
    over = atoms.positions[above & (height < height[above].min() + _LAYER_A)]
    nearest = [under.query(over + way * vectors[0])[0].min() for way in (1, -1)]
    way = 1 if nearest[0] >= nearest[1] else -1
    atoms.positions[above] += way * vectors[rng.integers(3)]
