"""Reads and checks a store's metadata before Zarr does, which would believe what they declare.

A small file can declare much: entries that unpack to gigabytes, arrays of 10¹² values, a million
chunks. Whatever is declared is compared with what is stored, before any of it is read.
"""

import contextlib
import math
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from passband.storage import json_text
from passband.storage.integrity import DEEPEST, check_checksums, check_format, check_regular

#: The largest numbers of entries of a zip file and of chunks of an array.
MOST_ENTRIES = 100_000
MOST_CHUNKS = 1_000_000

# Every declared size of at most 10⁸ bytes is accepted. A larger size of the entries of a zip file
# is accepted if it is at most 10 times the number of stored bytes. A larger size of an array is
# accepted if it is at most 10,000 times the number of stored bytes: Blosc's zstd stores at least
# one byte for every 4,400 bytes, even of a constant array.
_ACCEPTED_BYTES = 10**8
_UNZIPPED_RATIO = 10
_UNPACKED_RATIO = 10_000

# The record at the end of a zip file, with a comment of at most 65,535 bytes, and before it the two
# records of a large file, of 76 bytes; and the largest size of the list of entries [bytes].
_END = b"PK\x05\x06"
_LARGE_END = b"PK\x06\x07"
_MOST_END = 22 + 65_535 + 76
_MOST_LIST = 20_000_000


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store, and check its format, and all metadata of a folder.

    Only JSON is read, since zarr takes a second to import.

    Raises:
        NewerError: If the store has a newer format.
        StoreError: See :func:`passband.storage.integrity.check_regular`.
        ValueError, KeyError, TypeError, AttributeError, OSError, zipfile.BadZipFile: If there is no
            store, or its metadata are damaged.
    """
    if path.suffix == ".zip":
        with opened_zip(path) as archive:
            root = json_text.parse(read_entry(archive, "zarr.json"))
    else:
        check_regular(path / "zarr.json")
        root = json_text.read(path / "zarr.json")
    attributes = dict(root.get("attributes", {}))
    check_format(path, attributes.get("format"))
    if path.suffix != ".zip":
        check_checksums(path, most_bytes=json_text.MOST_BYTES)
    return attributes


@contextlib.contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose entries are safe to read, with :func:`read_entry`.

    Passband and Zarr compress no entry. Whoever packs a store again may have compressed entries by
    deflate, the only kind whose reading can be limited. No entry is encrypted; no name is given
    twice, or leads out of the file.

    Raises:
        StoreError: See :func:`passband.storage.integrity.check_regular`.
        zipfile.BadZipFile: If it is no such file.
    """
    check_regular(path)
    _check_list(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if (number := len(entries)) > MOST_ENTRIES:
            raise zipfile.BadZipFile(f"it has {number:,} entries, must be at most {MOST_ENTRIES:,}")
        size = sum(entry.file_size for entry in entries)
        if size > max(_ACCEPTED_BYTES, _UNZIPPED_RATIO * path.stat().st_size):
            raise zipfile.BadZipFile(f"it would unpack to {size / 1e9:.3g} GB")
        names: set[str] = set()
        for entry in entries:
            _check_entry(entry)
            if entry.filename in names:
                raise zipfile.BadZipFile(f"it has {entry.filename!r} twice")
            names.add(entry.filename)
        yield archive


def read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of an entry, and no more than its declared size.

    With ``ZipFile.read``, a compressed entry could take gigabytes, whatever size it declares.
    """
    with archive.open(name) as entry:
        return entry.read(archive.getinfo(name).file_size)


def unpacked(path: Path) -> dict[str, bytes] | None:
    """Return the content of a zip file with compressed entries, by name; None if it has none.

    Raises:
        StoreError, zipfile.BadZipFile: See :func:`opened_zip`.
    """
    with opened_zip(path) as archive:
        if all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist()):
            return None
        return {name: read_entry(archive, name) for name in archive.namelist()}


def _check_list(path: Path) -> None:
    """Check the size of a zip file's list of entries, which is read when the file is opened."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _MOST_END))
        end = file.read()
    # The list's size is in the last 22 bytes if no comment follows, as zipfile looks for it.
    place = len(end) - 22
    if end[place : place + 4] != _END or end[-2:] != bytes(2):
        place = end.rfind(_END)
    if place < 0:
        raise zipfile.BadZipFile("File is not a zip file")
    size = int.from_bytes(end[place + 12 : place + 16], "little")
    if place >= 76 and end[place - 20 : place - 16] == _LARGE_END:
        size = int.from_bytes(end[place - 36 : place - 28], "little")
    if size > _MOST_LIST:
        raise zipfile.BadZipFile(f"its list of entries has {size / 1e6:.3g} MB")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename if len(entry.filename) <= 60 else f"{entry.filename[:60]}…"
    if entry.flag_bits & 1:
        raise zipfile.BadZipFile(f"{name!r} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name!r} is neither stored nor deflated")
    if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
        raise zipfile.BadZipFile(f"{name!r} has two sizes")
    parts = entry.filename.split("/")
    if len(parts) > DEEPEST:
        raise zipfile.BadZipFile(f"{name!r} is in more than {DEEPEST} folders inside each other")
    if ".." in parts or parts[0] == "" or re.match("[A-Za-z]:", name):
        raise zipfile.BadZipFile(f"{name!r} leads out of the file")


def check_zip(path: Path, whole: bool) -> None:
    """Check the format, the number of entries and the declared sizes of a zip file.

    Args:
        whole: Whether to check the checksum of every entry of the zip file too.

    Raises:
        StoreError: See :func:`passband.storage.integrity.check_regular`.
        NewerError: If the zip file's format is newer than Passband's.
        ValueError, TypeError, AttributeError, zipfile.BadZipFile: If entries of the zip file are
            missing or damaged, or if a declared size is far above the stored size.
    """
    with opened_zip(path) as archive:
        attributes = json_text.parse(read_entry(archive, "zarr.json")).get("attributes", {})
        check_format(path, attributes.get("format"))
        entries = archive.infolist()
        number = sum(not entry.is_dir() for entry in entries)
        if (expected := attributes.get("files")) != number:
            raise ValueError(f"{number} of {expected} files")
        stored: Counter[str] = Counter()
        for entry in entries:
            stored[entry.filename.partition("/")[0]] += entry.file_size
        for name in archive.namelist():
            if name.endswith("/zarr.json"):
                array = json_text.parse(read_entry(archive, name))
                check_array(name.removesuffix("/zarr.json"), array, stored[name.partition("/")[0]])
        # If the name of an entry is damaged, Zarr does not find the entry, and reads zeros.
        if whole and (torn := archive.testzip()):
            raise zipfile.BadZipFile(f"{torn} is damaged")


def check_folder(path: Path) -> None:
    """Check the declared sizes of the arrays of a folder, all of whose metadata are in one file.

    Raises:
        ValueError, TypeError, AttributeError, OSError: If the metadata are damaged, or a declared
            size is far above the stored size.
    """
    root = json_text.read(path / "zarr.json")
    arrays = (root.get("consolidated_metadata") or {}).get("metadata", {})
    for name, array in arrays.items():
        check_array(name, array, _sizes(path / name.partition("/")[0]))


def _sizes(folder: Path) -> Iterator[int]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield os.stat(os.path.join(where, name)).st_size


def check_array(name: str, array: Mapping[str, Any], stored: int | Iterable[int]) -> None:
    """Check the declared size of an array against its stored bytes, and its number of chunks.

    Args:
        array: Its metadata in Zarr format 3.
        stored: The number of its stored bytes, or numbers to add up if the array is large.

    Raises:
        ValueError, TypeError, AttributeError: If the metadata are wrong, or declare too much.
    """
    if array.get("node_type", "array") != "array":
        return
    shape = _lengths(array.get("shape", []))
    chunk = _lengths(array.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape", shape))
    size = _width(array.get("data_type")) * max(math.prod(shape), math.prod(chunk))
    if size > _ACCEPTED_BYTES:
        stored = stored if isinstance(stored, int) else sum(stored)
        if size > _UNPACKED_RATIO * stored:
            raise ValueError(f"{name} would take {size / 1e9:.3g} GB")
    number = math.prod(-(-n // max(each, 1)) for n, each in zip(shape, chunk, strict=True))
    if number > MOST_CHUNKS:
        raise ValueError(f"{name} has {number:,} chunks, must be at most {MOST_CHUNKS:,}")


def _lengths(given: Any) -> list[int]:
    """Return the lengths of an array or a chunk."""
    if not isinstance(given, list) or any(type(n) is not int or n < 0 for n in given):
        raise ValueError(f"a shape is {str(given)[:60]}")
    return given


def _width(data_type: Any) -> int:
    """Return the number of bytes of a value of an array."""
    if isinstance(data_type, dict):  # fixed-length text, which Passband does not write
        length = data_type.get("configuration", {}).get("length_bytes", 8)
        return length if isinstance(length, int) else 8
    try:
        return np.dtype(data_type).itemsize
    except TypeError:
        return np.dtype(object).itemsize
