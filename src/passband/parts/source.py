"""The text of files of parts."""

import ast
import hashlib
from pathlib import Path

from passband.errors import PassbandError

#: The folder with a study's own parts, beside the study's file.
FOLDER = "parts"
#: The largest file of parts [bytes].
MOST_BYTES = 1_000_000


class PartError(PassbandError):
    """A part that is missing, wrong, or not allowed to run."""


def parsed(file: Path, shown: str) -> ast.Module:
    """Return the syntax tree of a file. PartError says what is wrong with it."""
    if file.exists() and not file.is_file():  # reading a pipe might not end
        raise PartError(f"{shown}: is no regular file")
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise PartError(f"{shown}: is larger than {MOST_BYTES:,} bytes, the most for a part")
        return ast.parse(content, filename=shown)
    except OSError as error:
        raise PartError(f"{shown}: {error.strerror}") from None
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
        tree = parsed(each, each.name)
        wanted += [
            file.parent / f"{name.partition('.')[0]}.py"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.level == 1
            for name in ([node.module] if node.module else [alias.name for alias in node.names])
        ]
    return found


def digest(file: Path) -> str:
    """Return 16 hexadecimal digits of a file and of the files beside it that it imports."""
    content = hashlib.sha256()
    for each in sorted(imported_beside(file)):
        content.update(each.name.encode() + b"\0" + each.read_bytes())
    return content.hexdigest()[:16]
