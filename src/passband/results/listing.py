"""Lists the files in a study's folder of results, and refuses what must not be there.

A folder from somebody else may have a link to any other folder. A job that writes or removes files
behind the link would do so elsewhere. So only the study's folder itself, and the folders above it,
may be links: a user makes them to have results on a large disk. Reading a pipe or a device might
not end, so these are refused, too.
"""

import os
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from passband.errors import PassbandError
from passband.results import layout
from passband.storage import integrity, metadata

#: Suffixes of the names of stores and of leases. The content of such folders is not listed.
_WHOLE = (".zarr", layout.LEASE)
#: The errors of a store that is missing or damaged.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
    *(zipfile.BadZipFile, integrity.StoreError),
)


def walk(folder: Path, names: Iterable[str] = layout.WRITTEN) -> Iterator[list[os.DirEntry[str]]]:
    """Yield the entries of a study's folder, and then of those folders in it that have `names`.

    Several folders are read at once, because a network file system needs long for each folder.

    Raises:
        PassbandError: If a folder cannot be read; or if one of the entries with these names, or an
            entry below, is a link, a pipe, a device or a socket.
    """
    wanted = set(names)
    top = _entries(os.fspath(folder))
    yield top
    below = [entry for entry in top if entry.name in wanted]
    with ThreadPoolExecutor(16) as pool:
        while folders := [entry.path for entry in below if _is_listed(entry)]:
            below = list(chain.from_iterable(pool.map(_entries, folders)))
            yield below


def check(folder: Path, names: Iterable[str] = layout.WRITTEN) -> None:
    """Raise PassbandError as :func:`walk` does; by default, for everything that Passband writes."""
    for _ in walk(folder, names):
        pass


def refuse_02(folder: Path) -> None:
    """Raise PassbandError if Passband 0.2 made a study's results, which Snakemake would delete."""
    if is_of_02(folder):
        raise PassbandError(f"{folder}: {integrity.MADE_BY_02}")


def is_of_02(folder: Path) -> bool:
    """Return whether Passband 0.2 made a study's results: the first readable one has its format."""
    if any((folder / layout.STORE / name).exists() for name in ("waves", layout.NETWORKS)):
        return False  # which 0.2 did not make
    waves = (folder / "waves").rglob("*.zarr.zip")
    stores = (folder / name for name in (layout.TABLE, layout.INFORMATION, layout.OOD))
    for path in (*stores, *islice(waves, 1)):
        try:
            metadata.read_attributes(path)
        except integrity.EarlierError:
            return True
        except _UNREADABLE:
            continue
        return False
    from passband.storage import weights  # only a folder without the others needs it

    networks = (folder / layout.NETWORKS).rglob("*.safetensors")
    return any(weights.format_of(path) == integrity.OF_02 for path in islice(networks, 1))


def changes(folder: Path) -> dict[str, float]:
    """Return when each file that shows a job's state last changed, by its path in the results.

    Raises:
        PassbandError: See :func:`walk`.
    """
    times: dict[str, float] = {}
    for entries in walk(folder, layout.FOLDERS):
        for entry in entries:
            # A job may delete a file meanwhile. The file then counts as absent.
            with suppress(FileNotFoundError):
                times[os.path.relpath(entry.path, folder)] = entry.stat().st_mtime
    return times


def check_way(folder: Path, path: Path) -> None:
    """Raise PassbandError if a folder between a study's folder and a path in it is a link."""
    for above in reversed(path.parents):
        if folder in above.parents:
            check_no_link(above)


def check_no_link(path: Path) -> None:
    """Raise PassbandError if a path is a link."""
    if path.is_symlink():
        raise _link_error(path)


def unreadable(path: str | Path, error: OSError) -> PassbandError:
    """Return the error for a file or folder of results that this user may not read."""
    return PassbandError(
        f"{path}: cannot be read: {error.strerror}; a user who may read the results "
        "can print the status"
    )


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(folder, error) from error


def _is_listed(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder whose own entries are listed.

    Raises:
        PassbandError: If the entry is a link, or neither a folder nor a file.
    """
    if entry.is_symlink():
        raise _link_error(entry.path)
    if entry.is_dir():
        return not entry.name.endswith(_WHOLE)
    if not entry.is_file():
        integrity.check_regular(entry.path)  # a job may have deleted it meanwhile
    return False


def _link_error(path: str | Path) -> PassbandError:
    return PassbandError(
        f"{path}: is a link; only the study's own folder, or a folder above it, may be a link, so "
        "that no job changes files elsewhere; put the files themselves in its place"
    )
