"""The text of files of parts."""

import ast
import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from passband.errors import PassbandError

#: The folder with a study's own parts, beside the study's file.
FOLDER = "parts"
#: The largest file of parts, and the largest size of all files of a folder [bytes]. Python parses
#: about 200 kB in a second.
MOST_BYTES = 200_000
MOST_TOGETHER = 500_000

# The folders of the system whose files look regular, although reading some of them does not end.
_OF_SYSTEM = ("/proc/", "/sys/", "/dev/")


class PartError(PassbandError):
    """A part that is missing, wrong, or not allowed to run."""


def content(file: Path, shown: str) -> bytes:
    """Return the content of a file. PartError is raised if it is no regular file or too large."""
    if file.exists() and (not file.is_file() or os.path.realpath(file).startswith(_OF_SYSTEM)):
        raise PartError(f"{shown}: is no regular file")  # reading it might not end
    try:
        with file.open("rb") as opened:
            found = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise PartError(f"{shown}: {error.strerror}") from None
    if len(found) > MOST_BYTES:
        raise PartError(f"{shown}: is larger than {MOST_BYTES:,} bytes, the most for a part")
    return found


def check_size(files: Sequence[Path]) -> None:
    """Raise PartError if the files of a folder are too large together."""
    together = sum(file.stat().st_size for file in files if file.is_file())
    if together > MOST_TOGETHER:
        raise PartError(
            f"{FOLDER}/: its files have {together:,} bytes; must have at most {MOST_TOGETHER:,}"
        )


def parsed(text: bytes, shown: str) -> ast.Module:
    """Return the syntax tree of a file's content. PartError says what is wrong with it."""
    try:
        return ast.parse(text, filename=shown)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise PartError(f"{shown}{where}: is no Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise PartError(f"{shown}: is no Python: {error}") from None


def imported_beside(file: Path) -> set[Path]:
    """Return a file, and the files of its folder that it imports, also by those that it imports."""
    found: set[Path] = set()
    wanted = [file]
    while wanted:
        if (each := wanted.pop()) in found or not each.is_file():
            continue
        found.add(each)
        wanted += [file.with_name(name) for name in _imports(content(each, each.name), each.name)]
    return found


@lru_cache(maxsize=64)
def _imports(text: bytes, shown: str) -> tuple[str, ...]:
    """Return the names of the files beside a file that it imports.

    Several studies have one folder of parts, so each content is parsed once.
    """
    return tuple(
        f"{name.partition('.')[0]}.py"
        for node in ast.walk(parsed(text, shown))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in ([node.module] if node.module else [alias.name for alias in node.names])
    )


def digest(file: Path) -> str:
    """Return 16 hexadecimal digits of a file and of the files beside it that it imports."""
    digits = hashlib.sha256()
    for each in sorted(imported_beside(file)):
        digits.update(each.name.encode() + b"\0" + content(each, each.name))
    return digits.hexdigest()[:16]
