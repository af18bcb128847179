"""Checks of files: damage, newer formats and full disks, and the errors that report them."""

import errno
import hashlib
import json
import math
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from passband import PassbandError

T = TypeVar("T")

#: Version of the layout of stores and of weights files. A file that does not give the version of
#: its layout has version 1. Increase the version when older code would read the files of newer code
#: wrongly. A file with this version of the layout can be read, whichever version of Passband wrote
#: the file.
FORMAT = 1

#: The file with the SHA-256 digests of other files in its folder, in the format of ``sha256sum``.
CHECKSUMS = "SHA256SUMS"

# A zip file declares the size of its unpacked content and of each array in memory. Every declared
# size of at most 10⁸ bytes is accepted. A larger size of the content is accepted if it is at most
# 10 times the number of stored bytes. A larger size of an array is accepted if it is at most 10,000
# times the number of stored bytes. Passband compresses no entry of a zip file, and Blosc's zstd
# stores at least one byte for every 4,400 bytes, even of a constant array.
_ACCEPTED_BYTES, _UNZIPPED_RATIO, _UNPACKED_RATIO = 10**8, 10, 10_000


class StoreError(PassbandError):
    """A store is missing or damaged, or its content does not belong to its path."""


class DamagedError(StoreError):
    """The content of a store is damaged or does not belong to its path: make the store again.

    If a store cannot be read, :class:`UnreachableError` is raised instead, because the store may be
    undamaged.

    Attributes:
        what: The store's path and its problem, without the advice to make the store again.
    """

    def __init__(self, path: str | Path, what: str):
        self.path, self.what = Path(path), f"{path}: {what}"
        super().__init__(f"{self.what}; delete it and run again")


class UnreachableError(StoreError):
    """A file or folder cannot be read now. It may be undamaged: do not make it again."""

    def __init__(self, path: str | Path, why: object):
        super().__init__(f"{path}: cannot be read: {' '.join(str(why).split())}; run again")


class NewerError(StoreError):
    """A store has a newer format than this code can read. The store is not damaged: keep it."""


class FullError(PassbandError):
    """The disk is full, or the user's quota is used up."""

    def __init__(self, path: str | Path, error: OSError):
        place = Path(path).absolute()
        while not place.exists():
            place = place.parent
        disk = shutil.disk_usage(place)
        if error.errno == errno.EDQUOT:
            what = "the disk quota is used up"
        else:
            what = f"no space left: {disk.free / 1e9:.3g} of {disk.total / 1e9:.3g} GB are free"
        super().__init__(f"{path}: {what}; make room and run again")


def disk_full_error(error: BaseException | None) -> OSError | None:
    """Return the error that reports a full disk, from an error's chain of causes, or None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__ or error.__context__
    return None


def is_unreachable(error: Exception) -> bool:
    """Return whether access to an existing file caused an error, and not its content."""
    # Errors of the format itself have no number, and positions outside of the file have EINVAL.
    others = None, errno.EINVAL, errno.ENOENT, errno.ENOTDIR, errno.EISDIR
    return isinstance(error, OSError) and error.errno not in others


def read_if_valid(read: Callable[..., T], *given: object, newer: bool = False) -> T | None:
    """Return what a function reads from a file, or None if the file is absent or damaged.

    Args:
        newer: Whether a file of a newer version, which must not be overwritten, raises its error.

    Raises:
        UnreachableError: If the file cannot be read now, since it may be undamaged.
    """
    try:
        return read(*given)
    except UnreachableError:
        raise
    except StoreError as error:
        if newer and isinstance(error, NewerError):
            raise
        return None


def set_aside(path: Path) -> Path:
    """Rename a damaged store and return its new path; the next run then makes the store again."""
    names = (path.with_name(f"{path.name}.damaged{n}") for n in ("", *map(str, range(2, 10**6))))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def check_format(path: str | Path, format: object) -> None:
    """Check the version of a store's format.

    Raises:
        NewerError: If the version of the store's format is above :data:`FORMAT`.
        ValueError: If the version of the store's format is not an integer of 1 or more.
    """
    if isinstance(format, bool) or not isinstance(format, int) or format < 1:
        raise ValueError(f"its format is {format!r}")
    if format > FORMAT:
        raise NewerError(
            f"{path}: its format is {format}, and this Passband reads up to {FORMAT}: update "
            "Passband, or move the file away to have it made again; it was left as it is"
        )


def check_attributes(path: str | Path, attrs: Mapping, expected: Mapping | None) -> None:
    """Check that a store's attributes have the expected values.

    Raises:
        DamagedError: If an attribute differs from the expected value: the store is complete, but
            does not belong to this path.
    """
    for name, value in (expected or {}).items():
        if attrs.get(name) != value:
            raise DamagedError(path, f"its {name} is {attrs.get(name)!r}, expected {value!r}")


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Write the list of digests of files in a folder. Its first line is a digest of the others."""
    lines = "".join(f"{_sha256(file)}  {file.relative_to(folder)}\n" for file in sorted(files))
    (folder / CHECKSUMS).write_text(f"{_head(lines)}\n{lines}", encoding="utf-8")


def check_checksums(folder: Path, needed: Iterable[str] = ()) -> None:
    """Compare files with the list of digests in their folder, if there is one.

    Folders of earlier versions have no list. The list finds accidents. It is no signature:
    whoever changes a file can change the list too.

    Args:
        needed: Files that must not be in the folder without being in the list.

    Raises:
        StoreError: See :func:`check_regular`.
        ValueError, OSError: If a file, or the list, is damaged.
    """
    if not (folder / CHECKSUMS).exists():
        return
    check_regular(folder / CHECKSUMS)
    head, _, lines = (folder / CHECKSUMS).read_text(encoding="utf-8").partition("\n")
    if head != _head(lines):
        raise ValueError(f"{CHECKSUMS} is damaged")
    listed = {name: digest for digest, _, name in (x.partition("  ") for x in lines.splitlines())}
    for name in needed:
        if name not in listed and (folder / name).exists():
            raise ValueError(f"{name} has no digest in {CHECKSUMS}")
    for name, digest in listed.items():
        check_regular(folder / name)
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
        if _sha256(folder / name) != digest:
            raise ValueError(f"{name} is damaged")


def unchecked(folder: Path) -> str:
    """Return a line for a folder of an earlier version, which has no list; empty for others."""
    has = (folder / CHECKSUMS).exists()
    return "" if has else f"{folder} has no {CHECKSUMS}, so its files are not checked"


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store, and check its format, and all metadata of a folder.

    Only JSON is read, since zarr takes a second to import.

    Raises:
        NewerError: If the store has a newer format.
        ValueError, KeyError, TypeError, AttributeError, OSError, zipfile.BadZipFile: If there is no
            store, or its metadata are damaged.
    """
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            content = archive.read("zarr.json")
    else:
        content = (path / "zarr.json").read_bytes()
    attributes = dict(json.loads(content).get("attributes", {}))
    check_format(path, attributes.get("format", 1))
    if path.suffix != ".zip":
        check_checksums(path)
    return attributes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _head(lines: str) -> str:
    return f"# {hashlib.sha256(lines.encode()).hexdigest()}"  # sha256sum ignores such a line


def check_regular(path: str | Path) -> None:
    """Check that a path, which may be missing, is a regular file or a folder of such files.

    Other kinds of files must not be opened, since reading a pipe or a device might not end.

    Raises:
        StoreError: If it is a pipe, a device or a socket, or has one in it.
    """
    if os.path.isdir(path):
        number_of_files(path)
    elif os.path.exists(path) and not os.path.isfile(path):
        raise StoreError(f"{path}: is a pipe, a device or a socket; give a regular file")


def number_of_files(folder: str | Path) -> int:
    """Return the number of files in a folder, without hidden files of other programs.

    Raises:
        StoreError: See :func:`check_regular`.
    """
    number = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                number += number_of_files(entry.path)
            elif not entry.is_dir():
                if not entry.is_file():
                    check_regular(entry.path)
                number += not entry.name.startswith(".")
    return number


def check_zip(path: Path, whole: bool) -> None:
    """Check the format, the number of entries and the declared sizes of a zip file.

    Args:
        whole: Whether to check the checksum of every entry of the zip file too.

    Raises:
        StoreError: See :func:`check_regular`.
        NewerError: If the zip file's format is newer than :data:`FORMAT`.
        ValueError, zipfile.BadZipFile: If entries of the zip file are missing or damaged, or if a
            declared size is far above the stored size.
    """
    check_regular(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if size > max(_ACCEPTED_BYTES, _UNZIPPED_RATIO * path.stat().st_size):
            raise zipfile.BadZipFile(f"it would unpack to {size / 1e9:.3g} GB")
        attributes = json.loads(archive.read("zarr.json")).get("attributes", {})
        check_format(path, attributes.get("format", 1))
        # Earlier versions of Passband did not write the number of files in a store.
        number = sum(not entry.is_dir() for entry in entries)
        if (expected := attributes.get("files", number)) != number:
            raise ValueError(f"{number} of {expected} files")
        _check_shapes(archive)
        # If the name of an entry is damaged, Zarr does not find the entry, and reads zeros.
        if whole and (torn := archive.testzip()):
            raise zipfile.BadZipFile(f"{torn} is damaged")


def _check_shapes(archive: zipfile.ZipFile) -> None:
    """Raise ValueError if the declared size of an array is too large for its stored bytes."""
    stored: Counter[str] = Counter()
    for entry in archive.infolist():
        stored[entry.filename.partition("/")[0]] += entry.file_size
    for name in archive.namelist():
        if not name.endswith("/zarr.json"):
            continue
        array = json.loads(archive.read(name))
        try:
            width = np.dtype(array.get("data_type")).itemsize
        except TypeError:
            width = np.dtype(object).itemsize
        size = width * math.prod(array.get("shape", []))
        if size > max(_ACCEPTED_BYTES, _UNPACKED_RATIO * stored[name.partition("/")[0]]):
            raise ValueError(f"{name.removesuffix('/zarr.json')} would take {size / 1e9:.3g} GB")
