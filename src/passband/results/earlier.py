"""Tells a folder of results that Passband 0.2 made, which no job of this version may continue.

Its outputs would be made again one after another, and deleted before. Commands that only read
results read such a folder as it is, and ``passband run --adopt`` takes over what took long to make,
see :mod:`passband.store.version_02.adoption`.
"""

import shlex
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from os import rename
from os.path import exists, lexists
from pathlib import Path

from passband.errors import PassbandError
from passband.results import layout
from passband.storage import integrity, metadata, version_02

#: The folder that every job of 0.2 made. It is renamed last when a folder is taken over, so a
#: folder that has it is that of 0.2, whatever else is in it.
CACHE = "cache"
#: The folder inside a study's that has all of it after ``passband run --adopt``.
KEPT = "0.2"
#: What 0.2 wrote into a folder of results, the folder that it is recognised by last.
WRITTEN = (
    *("waves", "networks", "records", "extra", "checkpoints", "configuration"),
    *("table.zarr", "ood.zarr", "information.zarr", "prediction.zarr"),
    *("distances", "distances.zarr", "figures", "gallery", "images"),
    *("report.html", "explorer.html", "snakemake-report.html", "preflight.txt"),
    *("logs", "benchmarks", CACHE),
)
#: The errors of a store that is missing or damaged.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
    *(zipfile.BadZipFile, integrity.StoreError),
)


def refuse(folder: Path, study: str | Path) -> None:
    """Raise PassbandError if Passband 0.2 made a study's folder of results.

    Args:
        study: What names the study in a command.
    """
    if is_earlier(folder):
        named = shlex.quote(str(study))
        raise PassbandError(
            f"{folder}: was made by Passband 0.2 and was left as it is; `passband run {named} "
            "--adopt` takes over its exit waves and networks and goes on, and `passband report "
            f"{named}` reads it"
        )


def is_earlier(folder: Path) -> bool:
    """Return whether Passband 0.2 made a folder of results. Every job asks, so little is read."""
    if exists(folder / CACHE):  # False if the folder cannot be read, which others report
        return True
    if any(exists(folder / layout.STORE / name) for name in ("waves", layout.NETWORKS)):
        return False
    # Somebody has deleted the folder `cache`, or this version has made nothing yet.
    return next((format == version_02.FORMAT for format in _formats(folder)), False)


def put_away(folder: Path) -> None:
    """Move everything that 0.2 made to the folder :data:`KEPT`.

    What is there already, from an earlier call, keeps its name.
    """
    kept = folder / KEPT
    kept.mkdir(exist_ok=True)
    for name in WRITTEN:
        if lexists(folder / name):
            names = chain([name], (f"{name}.{number}" for number in count(2)))
            free = next(each for each in names if not lexists(kept / each))
            rename(folder / name, kept / free)


def _formats(folder: Path) -> Iterator[int]:
    """Yield the formats of undamaged results: stores, files of exit waves, and of networks."""
    stores = (folder / name for name in (layout.TABLE, layout.INFORMATION, layout.OOD))
    for path in (*stores, *_first(folder, "waves", "*.zarr.zip")):
        with suppress(*_UNREADABLE):
            yield metadata.read_attributes(path)["format"]
    from passband.storage import weights  # only a folder without the others needs it

    for path in _first(folder, layout.NETWORKS, "*.safetensors"):
        if format := weights.format_of(path):
            yield format


def _first(folder: Path, name: str, pattern: str) -> list[Path]:
    found = (folder / name).rglob(pattern)
    return [path for path in (next(found, None),) if path is not None]
