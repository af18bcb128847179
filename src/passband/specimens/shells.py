"""Clusters of complete atomic shells, made by ASE. Lengths are in Å; the origin is the centre."""

from functools import lru_cache
from itertools import product

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron, FaceCenteredCubic, Icosahedron, wulff_construction

from passband.config.materials import MATERIALS


def wulff(name: str, number: int) -> Atoms:
    """Return a Wulff particle of an fcc element, made by ASE from complete shells around an atom.

    The particle has the number of atoms nearest to `number` that complete shells can have. For the
    smallest particles, the two numbers differ by up to a third.
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
    """Return a cluster with given numbers of layers, for ASE's search for the nearest size."""
    return _fcc(symbol, surfaces, tuple(map(int, layers)), latticeconstant)


_fcc = lru_cache(maxsize=256)(FaceCenteredCubic)


def multiply_twinned(name: str, shape: str, number: int) -> Atoms:
    """Return an icosahedron or decahedron of an fcc element, made by ASE from complete shells.

    Args:
        shape: Mackay's icosahedron (*Acta Cryst.* 15, 916, 1962), or a decahedron of Ino's or
            Marks's form (*Phil. Mag. A* 49, 81, 1984). Among decahedra that are about as high as
            they are wide, the result is the decahedron whose number of atoms is closest to
            `number`.
        number: Requested number of atoms. Icosahedra have 1, 13, 55, 147, 309, … atoms.
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
    positions.flags.writeable = False  # the functions' caches return the same array to each caller
    return positions
