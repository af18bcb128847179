"""Examples of parts, to begin with: files in `examples/parts/` of the repository."""

import shutil
from pathlib import Path

from passband import repository
from passband.parts.kinds import KINDS
from passband.parts.reading import read
from passband.parts.source import FOLDER, PartError


def examples() -> dict[str, Path]:
    """Return the file with an example of each kind, in the order of the kinds."""
    found: dict[str, Path] = {}
    for file in sorted((repository.folder() / "examples" / FOLDER).glob("*.py")):
        for part in read(file):
            found.setdefault(part.kind, file)
    return {kind: found[kind] for kind in KINDS if kind in found}


def write_example(kind: str, folder: Path) -> Path:
    """Copy the example of a kind to the folder `parts` of a study, and return the new file.

    Args:
        folder: The folder with the study's file.

    Raises:
        PartError: If there is no such kind, or if the file exists already.
    """
    known = examples()
    if kind not in known:
        raise PartError(f"{kind!r}: is no kind of parts; allowed: {', '.join(known)}")
    new = folder / FOLDER / known[kind].name
    if not folder.is_dir():
        raise PartError(f"{folder}: there is no such folder; make a study: passband new {folder}")
    if new.exists():
        raise PartError(f"{new}: exists already; rename it, or delete it")
    try:
        new.parent.mkdir(exist_ok=True)
        shutil.copyfile(known[kind], new)
    except OSError as error:
        raise PartError(f"{new}: cannot be written: {error.strerror}") from None
    return new
