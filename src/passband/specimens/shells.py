"""Clusters of complete atomic shells, made by ASE. Lengths are in Å; the origin is the centre."""

from functools import lru_cache
from itertools import product

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron, FaceCenteredCubic, Icosahedron, wulff_construction

from passband.config.crystals import Material


def cluster(material: Material, shape: str, number: int) -> Atoms:
    """Return a cluster of an fcc element, made by ASE from complete shells.

    Args:
        shape: A Wulff particle around an atom, Mackay's icosahedron (*Acta Cryst.* 15, 916, 1962),
            or a decahedron of Ino's or Marks's form (*Phil. Mag. A* 49, 81, 1984) that is about as
            high as it is wide.
        number: Requested number of atoms. The result has the nearest number that the shape can
            have: icosahedra have 1, 13, 55, 147, 309, … atoms, and the smallest Wulff particles
            differ from `number` by up to a third.
    """
    build = {"wulff": _wulff, "icosahedron": _icosahedron, "decahedron": _decahedron}[shape]
    positions = build(material, number)
    return Atoms(f"{material.symbol}{len(positions)}", positions)


@lru_cache(maxsize=256)
def _wulff(material: Material, number: int) -> np.ndarray:
    symbol = material.symbol
    surfaces, energies = zip(*material.surface_energies.items(), strict=True)
    cluster = wulff_construction(
        symbol, surfaces, energies, number, _layered, "closest", material.lattice_A
    )
    return _centred(cluster)


def _layered(symbol: str, surfaces: tuple, layers: np.ndarray, latticeconstant: float) -> Atoms:
    """Return a cluster with given numbers of layers, for ASE's search for the nearest size."""
    return _fcc(symbol, surfaces, tuple(map(int, layers)), latticeconstant)


_fcc = lru_cache(maxsize=256)(FaceCenteredCubic)


@lru_cache(maxsize=256)
def _icosahedron(material: Material, number: int) -> np.ndarray:
    shells, atoms, last = 1, 1, 0
    while atoms < number:
        shells, last = shells + 1, atoms
        atoms += 10 * (shells - 1) ** 2 + 2
    if number - last < atoms - number:
        shells -= 1
    return _centred(Icosahedron(material.symbol, max(shells, 1), material.lattice_A))


@lru_cache(maxsize=256)
def _decahedron(material: Material, number: int) -> np.ndarray:
    forms = []
    for longer, notch in product((0, -1, 1), (1, 0)):
        for p in range(1, 1000):
            if p + longer >= 1:
                forms.append((_decahedron_atoms(p, p + longer, notch), p, p + longer, notch))
                if forms[-1][0] > number:
                    break
    _, *best = min(forms, key=lambda form: abs(form[0] - number))
    return _centred(Decahedron(material.symbol, *best, material.lattice_A))


@lru_cache(maxsize=1024)
def _decahedron_atoms(p: int, q: int, notch: int) -> int:
    return len(Decahedron("Au", p, q, notch))


def _centred(cluster: Atoms) -> np.ndarray:
    positions = cluster.positions - cluster.positions.mean(0)
    positions.flags.writeable = False  # the functions' caches return the same array to each caller
    return positions
