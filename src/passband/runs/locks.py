"""Snakemake's locks in a folder: which processes have them, and their removal after a death.

Snakemake locks the files that it makes, and does not write down which process it is. If it is
killed, its locks stay, and no other Snakemake starts. So Passband's workflow adds a file with the
identity of the process. At its end, Snakemake removes the whole folder of the locks.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from passband.results import listing
from passband.storage.lease import Holder

_FOLDER = Path(".snakemake", "locks")
#: The names of Snakemake's own locks. Other files are not removed with them.
_LOCK = re.compile(r"\d+\.(input|output)\.lock")
#: The folders of Snakemake with software, which has links of its own.
_SOFTWARE = {"conda", "conda-archive", "singularity"}


def sign() -> None:
    """Write down that this process has locks in the working directory."""
    with suppress(OSError):  # without the file, a user removes the locks
        (_FOLDER / Holder.this().file(0)).touch()


def check(folder: Path, names: Sequence[str] = ()) -> None:
    """Check the folder `.snakemake`, in which Snakemake writes, reads and removes files.

    Args:
        folder: The folder in which Snakemake runs.
        names: What is checked in `.snakemake`; by default, all but the content of environments.

    Raises:
        PassbandError: If `.snakemake` or something in it is a link, a pipe, a device or a socket.
    """
    own = folder / _FOLDER.parent
    listing.check_no_link(own)
    if names:
        listing.check(own, names)
    elif own.is_dir():
        found = os.listdir(own)
        for name in _SOFTWARE.intersection(found):
            listing.check_no_link(own / name)
        listing.check(own, {*found} - _SOFTWARE)


def clear(folder: Path) -> list[Holder]:
    """Remove a folder's locks if all their processes ran here and have died; return those."""
    found = holders(folder)
    if not found or not all(holder.gone for holder in found):
        return []
    place = folder / _FOLDER
    with suppress(OSError):  # what is left is named to the user
        for path in place.iterdir():
            if _LOCK.fullmatch(path.name) or Holder.of(path.name) in found:
                path.unlink()
        place.rmdir()
    return found


def holders(folder: Path) -> list[Holder]:
    """Return the processes that have signed locks in a folder."""
    found = (Holder.of(path.name) for path in (folder / _FOLDER).glob("*,*"))
    return [holder for holder in found if holder is not None]


def are_left(folder: Path) -> bool:
    """Return whether there are locks in a folder, with or without a process that signed them."""
    return any((folder / _FOLDER).glob("*.lock"))
