"""Reads the packed pieces of the twelve thousand, which are in git, without merging them."""

from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from findings.twelve_thousand.pieces import DATA
from passband import PassbandError
from passband.matrices.matrix import Matrix
from passband.matrices.of_study import matrices
from passband.storage import datasets


def tables(folder: Path = DATA / "parts") -> Iterator[xr.Dataset]:
    """Yield the tables of the pieces, each with some of the study's training conditions, in order.

    Raises:
        PassbandError: If there are no pieces.
    """
    paths = sorted(folder.glob("*.zarr.zip"))
    if not paths:
        raise PassbandError(f"{folder}: has no packed pieces")
    for path in paths:
        with datasets.open_checked(path, datasets.PACKED) as table:
            yield table


def pieces() -> Iterator[Matrix]:
    """Yield the only matrix of each piece."""
    for table in tables():
        yield from matrices(table)
