"""Which recipes files of the store have that Passband 0.2 made.

A file of 0.2 says by another digest what it depends on. So one file of the store, which `adoption`
writes, has the digest of the recipe for each digest of 0.2.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from passband.results import earlier, layout
from passband.storage import checked_json
from passband.storage.integrity import StoreError

#: The name of the file in the store.
FILE = "adopted.json"
# The folders in the store that have files with digests.
_KINDS = {path.partition("/")[0] for path in (layout.WAVES, layout.WEIGHTS, layout.RECORD)}


def current(path: Path, digest: str | None) -> str | None:
    """Return the digest of the recipe of a file in the store, from the digest in the file.

    Raises:
        StoreError: If the file with the digests of 0.2 is damaged or deleted.
    """
    store = _store_of(path)
    if store is None or digest is None:
        return digest
    return read(store).get(digest, digest)


def read(store: Path) -> Mapping[str, str]:
    """Return the digest of the recipe for each digest of 0.2; none if nothing was taken over.

    Raises:
        StoreError: If the file is damaged, or if it is missing although files were taken over.
    """
    file = store / FILE
    try:
        changed = file.stat().st_mtime_ns
    except FileNotFoundError:
        if (store.parent / earlier.KEPT).exists():
            raise _error(file, "is missing") from None
        return {}
    return _read(file, changed)


def write(store: Path, digests: Mapping[str, str]) -> None:
    """Write the digests of recipes by those of 0.2."""
    checked_json.write(store / FILE, dict(digests))


def _store_of(path: Path) -> Path | None:
    """Return the store that a file is in, if it is in one. A specimen may be named like it."""
    folders = pairwise((path, *path.parents))
    return next(
        (f for inner, f in folders if f.name == layout.STORE and inner.name in _KINDS), None
    )


@lru_cache(4)
def _read(file: Path, changed: int) -> dict[str, str]:
    try:
        return checked_json.read(file)
    except (ValueError, OSError) as error:
        raise _error(file, error) from None


def _error(file: Path, what: object) -> StoreError:
    name = file.parents[1].absolute().name
    return StoreError(f"{file}: {what}; `passband run {name} --adopt` makes it again")
