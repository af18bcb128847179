"""Checks of files: damage, newer formats and full disks, and the errors that report them."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from passband.errors import PassbandError

T = TypeVar("T")

#: Version of the layout of stores and of weights files. Increase it when older code would read the
#: files of newer code wrongly.
FORMAT = 2
#: The version that Passband 0.2 wrote, and what is said of its files and folders.
OF_02 = 1
MADE_BY_02 = "made by Passband 0.2: run it again, or use 0.2"

#: The file with the SHA-256 digests of other files in its folder, in the format of ``sha256sum``.
CHECKSUMS = "SHA256SUMS"

#: The largest number of folders inside each other, in a store and in any other folder that is read.
DEEPEST = 32

# The largest size of a list of digests [bytes], and the folders of the system whose files look
# regular, although reading some of them does not end.
_MOST_LISTED = 16_000_000
_OF_SYSTEM = ("/proc/", "/sys/")


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


class EarlierError(StoreError):
    """Passband 0.2 wrote a store, which this code does not read."""

    def __init__(self, path: str | Path):
        super().__init__(f"{path}: {MADE_BY_02}")


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
        EarlierError: If it is that of Passband 0.2.
        ValueError: If the version of the store's format is not an integer of 1 or more.
    """
    if format is None:
        raise ValueError("it has no format: Passband did not write it")
    if isinstance(format, bool) or not isinstance(format, int) or format < 1:
        raise ValueError(f"its format is {format!r}")
    if format == OF_02:
        raise EarlierError(path)
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


def check_checksums(
    folder: Path, needed: Iterable[str] = (), most_bytes: int | None = None
) -> None:
    """Compare files with the list of digests in their folder.

    The list finds accidents. It is no signature: whoever changes a file can change the list too.

    Args:
        needed: Files that must not be in the folder without being in the list.
        most_bytes: The largest size of a listed file; by default, any.

    Raises:
        StoreError: See :func:`check_regular`.
        ValueError, OSError: If a file, or the list, is missing or damaged.
    """
    if not (folder / CHECKSUMS).exists():
        raise ValueError(f"{CHECKSUMS} is missing")
    check_regular(folder / CHECKSUMS)
    with (folder / CHECKSUMS).open("rb") as file:
        content = file.read(_MOST_LISTED + 1)
    head, _, lines = content.decode().partition("\n")
    if len(content) > _MOST_LISTED or head != _head(lines):
        raise ValueError(f"{CHECKSUMS} is damaged")
    listed = {name: digest for digest, _, name in (x.partition("  ") for x in lines.splitlines())}
    for name in listed:
        if not name or ".." in name.split("/") or name != os.path.normpath(name) or name[0] == "/":
            raise ValueError(f"{CHECKSUMS} names {name[:60]!r}, which is no file in the folder")
    for name in needed:
        if name not in listed and (folder / name).exists():
            raise ValueError(f"{name} has no digest in {CHECKSUMS}")
    for name, digest in listed.items():
        check_regular(folder / name)
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing")
        size = os.path.getsize(folder / name)
        if most_bytes is not None and size > most_bytes:
            most = f"{most_bytes / 1e6:g}"
            raise ValueError(f"{name} has {size / 1e6:,.0f} MB, must be at most {most}")
        if _sha256(folder / name) != digest:
            raise ValueError(f"{name} is damaged")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _head(lines: str) -> str:
    return f"# {hashlib.sha256(lines.encode()).hexdigest()}"  # sha256sum ignores such a line


def is_regular(path: str | Path) -> bool:
    """Return whether a path is a regular file, whose reading ends.

    Files of the system look regular too, but reading /proc/kmsg, for example, does not end.
    """
    return os.path.isfile(path) and not os.path.realpath(path).startswith(_OF_SYSTEM)


def check_regular(path: str | Path) -> None:
    """Check that a path, which may be missing, is a regular file or a folder of such files.

    Other kinds of files must not be opened, since reading a pipe or a device might not end. The
    same is true of files of the system, to which a link can lead.

    Raises:
        StoreError: If it is a pipe, a device, a socket or a file of the system, or has one in it;
            or if it has more than :data:`DEEPEST` folders inside each other.
    """
    if os.path.isdir(path):
        number_of_files(path)
    elif os.path.exists(path) and not os.path.isfile(path):
        raise StoreError(f"{path}: is a pipe, a device or a socket; give a regular file")
    if os.path.realpath(path).startswith(_OF_SYSTEM):
        raise StoreError(f"{path}: is a file of the system; give a regular file")


def number_of_files(folder: str | Path) -> int:
    """Return the number of files in a folder, without hidden files of other programs.

    Raises:
        StoreError: See :func:`check_regular`.
    """
    return _number_of_files(folder, 0)


def _number_of_files(folder: str | Path, depth: int) -> int:
    if depth > DEEPEST:
        raise StoreError(f"{folder}: more than {DEEPEST} folders inside each other; delete them")
    number = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                number += _number_of_files(entry.path, depth + 1)
                continue
            is_folder = entry.is_dir()
            if entry.is_symlink() or not (is_folder or entry.is_file()):
                _check_entry(entry)
            number += not is_folder and not entry.name.startswith(".")
    return number


def _check_entry(entry: os.DirEntry) -> None:
    """Check a link, or what is neither a file nor a folder, as :func:`check_regular` does."""
    if entry.is_dir():  # a link to a folder, which Zarr would follow
        if f"{os.path.realpath(entry.path)}/".startswith(_OF_SYSTEM):
            raise StoreError(f"{entry.path}: is a folder of the system; delete this link")
    else:
        check_regular(entry.path)
