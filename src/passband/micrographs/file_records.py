"""What an earlier run has done: a record of each file, so that no file is segmented twice.

The record of an image is in the folder ``.records`` beside the output files. It is believed only if
the content of the image, of its true mask and of all output files is the same, and so are networks,
settings and the version of Passband. Any other record is as good as none.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from passband.errors import PassbandError
from passband.micrographs.images.suffixes import files_of
from passband.micrographs.summary import Frame
from passband.seeds import digest
from passband.storage import StoreError, atomic, checked_json, integrity

#: The folder of records.
FOLDER = ".records"
#: Bytes that are read at once.
_BLOCK = 2**22


def key(paths: Iterable[Path | None], *values: object) -> str:
    """Return a digest of the content of image files, and of values that can be written as JSON.

    Raises:
        PassbandError: If a file is a pipe or a device, or cannot be read.
    """
    return digest([path and _contents(path) for path in paths], *values)


def _contents(path: Path) -> list[list[str]]:
    """Return the names of the files with the content of an image file, and their digests."""
    integrity.check_regular(path)
    try:
        return [[str(each.relative_to(path.parent)), _content(each)] for each in files_of(path)]
    except OSError as error:
        raise PassbandError(f"{path}: cannot be read: {error.strerror}") from None


def keep(
    folder: Path, name: str, key: str, frames: Sequence[Frame], written: Sequence[Path]
) -> None:
    """Write the record of a file.

    Args:
        folder: The folder of the output files.
        name: The beginning of their names.
        frames, written: The results, and the output files.
    """
    checked_json.write(
        _path(folder, name),
        {
            "key": key,
            "frames": [frame.to_values() for frame in frames],
            "files": {path.name: _content(path) for path in written},
        },
    )


def earlier(folder: Path, name: str, key: str) -> tuple[tuple[Frame, ...], tuple[Path, ...]] | None:
    """Return the frames and the output files that an earlier run has made under a key, or None."""
    record = _record(folder, name)
    if record.get("key") != key or _changed(folder, record):
        return None
    try:
        frames = tuple(map(Frame.from_values, record["frames"]))
    except (ValueError, TypeError):
        return None
    return frames, tuple(folder / file for file in record["files"])


def clear(folder: Path) -> None:
    """Remove what killed runs have left among the output files and the records of a folder."""
    for each in (folder, folder / FOLDER):
        atomic.clear_ended(each)


def set_aside(folder: Path, name: str) -> list[str]:
    """Rename output files that somebody has changed since an earlier run, such as edited labels.

    Returns:
        A line about each.
    """
    lines = []
    for file in _changed(folder, _record(folder, name)):
        if not file.exists():
            continue
        kept = aside(file, name)
        file.rename(kept)
        lines.append(f"{file.name} had been changed since an earlier run: it is now {kept.name}")
    return lines


def aside(file: Path, name: str) -> Path:
    """Return the free path on which an output file that somebody has changed is kept.

    Args:
        name: The beginning of the names of the image's output files.
    """
    kind, _, ends = file.name.removeprefix(name).partition(".")
    numbers = ("", *map(str, range(2, 10**6)))
    paths = (file.with_name(f"{name}{kind}.changed{n}.{ends}") for n in numbers)
    return next(path for path in paths if not path.exists())


def _record(folder: Path, name: str) -> dict:
    """Return the whole record of a file, or an empty one."""
    try:
        record = checked_json.read(_path(folder, name))
        inside = all(Path(file).name == file for file in record["files"])
    except (OSError, ValueError, KeyError, TypeError, StoreError):
        return {}
    return record if inside else {}


def _changed(folder: Path, record: dict) -> list[Path]:
    """Return the output files that have not, or no longer, the content of their record."""
    changed = []
    for file, content in record.get("files", {}).items():
        try:
            same = _content(folder / file) == content
        except (OSError, StoreError):
            same = False
        changed += [folder / file] * (not same)
    return changed


def _path(folder: Path, name: str) -> Path:
    return folder / FOLDER / f"{name}.json"


def _content(path: Path) -> str:
    """Return a digest of a file's content."""
    integrity.check_regular(path)
    hashed = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    return hashed.hexdigest()
