"""Compares what a file of images declares with what it has, before a reader believes it.

A file of a kilobyte can declare 2³¹ frames, for which readers would take all memory.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from passband.errors import PassbandError

# As many values are always accepted: a gigabyte as numbers of 32 bits. Above, a file must have a
# byte for every 100 values, which no compression of a micrograph reaches.
_ACCEPTED = 250_000_000
_MOST_PER_BYTE = 100


def check(path: Path, shape: Sequence[int], stored: int | None = None) -> None:
    """Check the shape of the images of a file that may compress them.

    Args:
        stored: The number of their bytes in the file; by default, the size of the file or folder.

    Raises:
        PassbandError: If the file cannot have as many values.
    """
    number = math.prod(map(int, shape))
    if number <= _ACCEPTED:
        return
    stored = _bytes(path) if stored is None else stored
    if number > _MOST_PER_BYTE * stored:
        _refuse(path, shape, stored)


def check_mrc(path: Path) -> None:
    """Check the size of the images of an MRC file, which are not compressed."""
    words = np.fromfile(path, "<u4", 24)
    if words.size == 24:
        size = os.path.getsize(path)
        if math.prod(map(int, words[:3])) > max(0, size - 1024 - int(words[23])):
            _refuse(path, words[:3][::-1], size)


def check_ser(path: Path) -> None:
    """Check the number and the size of the images of a SER file, which are not compressed."""
    size = os.path.getsize(path)
    with path.open("rb") as file:
        head = file.read(30)
        wide = 8 if int.from_bytes(head[4:6], "little") > 528 else 4
        file.seek(int.from_bytes(head[22 : 22 + wide], "little"))
        file.seek(int.from_bytes(file.read(wide), "little"))
        element = file.read(50)
    number = int.from_bytes(head[18:22], "little")
    # Of spectra, only the length is given; an image has two scales of 20 bytes, and its type.
    is_image = int.from_bytes(head[6:10], "little") == 0x4122
    places = (42, 46) if is_image else (22,)
    lengths = [int.from_bytes(element[at : at + 4], "little") for at in places]
    if number * math.prod(lengths) > size:
        _refuse(path, (number, *reversed(lengths)), size)


def check_memory(path: Path, shape: Sequence[int]) -> None:
    """Check that images fit into the memory of this machine as numbers of 32 bits."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (needed := 4 * math.prod(shape)) > memory:
        raise PassbandError(
            f"{path}: {_product(shape)} values take {needed / 1e9:,.0f} GB, and this machine has "
            f"{memory / 1e9:,.0f} GB; divide the file"
        )


def _refuse(path: Path, shape: Sequence[int], stored: int) -> None:
    raise PassbandError(
        f"{path}: declares {_product(shape)} values, and has {stored / 1e6:.3g} MB; it is damaged"
    )


def _product(shape: Sequence[int]) -> str:
    return " × ".join(f"{int(n):,}" for n in shape)


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return os.path.getsize(path)
    return sum(os.path.getsize(Path(at, name)) for at, _, names in os.walk(path) for name in names)
