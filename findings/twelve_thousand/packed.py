"""Reads the packed parts of the twelve thousand, which are in git, without merging them."""

from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from findings.twelve_thousand.parts import DATA
from passband import PassbandError
from passband.storage import datasets


def tables(folder: Path = DATA / "parts") -> Iterator[xr.Dataset]:
    """Yield the tables of the parts, each with some of the study's training conditions, in order.

    They have one specimen and one architecture, and no dimensions for them.

    Raises:
        PassbandError: If there are no parts.
    """
    paths = sorted(folder.glob("*.zarr.zip"))
    if not paths:
        raise PassbandError(f"{folder}: has no packed parts")
    for path in paths:
        with datasets.open_checked(path, datasets.PACKED) as table:
            yield table.isel(specimen=0, architecture=0, test_specimen=0)
