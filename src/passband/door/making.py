"""Makes a study to edit, and parts of it."""

import re
from pathlib import Path

from passband import repository
from passband.config import load
from passband.door.experiment import Experiment
from passband.errors import ArgumentError, PassbandError
from passband.outcomes import Written
from passband.parts.examples import write_example
from passband.results.locate import CONFIG, RESULTS, study_names

#: A line by which editors find the configuration's schema.
_SCHEMA = "# yaml-language-server: $schema={}"


def new(folder: str | Path, like: str | Path = "demo") -> Experiment:
    """Make a folder with a study to edit, and open it.

    Args:
        folder: The new folder, whose name is the study's.
        like: The study to begin with: a name in `studies/` of Passband's repository, or a file.

    Raises:
        PassbandError: If the folder or a study of this name exists, or if the name is wrong.

    Example:
        >>> mine = passband.new("mine", like="pilot")
        >>> mine.study.study.name
        'mine'
    """
    folder = Path(folder)
    name = folder.absolute().name
    source = _source(str(like))
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}", name) is None:
        raise ArgumentError(
            f"folder = {str(folder)!r}: its name must have up to 40 letters, digits, points and "
            "hyphens, and begin with a letter or digit"
        )
    if folder.exists():
        raise PassbandError(f"{folder}: exists already; give another name")
    if name in study_names() or (RESULTS / name).exists():
        raise PassbandError(f"{name}: there is already a study of this name here")
    text = _text(name, source)
    try:
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PassbandError(f"{folder}: cannot be made: {error.strerror}") from None
    return Experiment.find(folder)


def new_part(kind: str, folder: str | Path = ".") -> Written:
    """Write an example of a part to edit, into the folder `parts` beside a study's file.

    Args:
        kind: What the part is, such as ``"metric"`` or ``"figure"``, see docs/add.md.
        folder: The folder with the study's file.

    Raises:
        PassbandError: If there is no such kind or folder, or if the file exists.

    Example:
        >>> study = passband.new("varied")
        >>> file = passband.new_part("noise", "varied").files[0]
    """
    file = write_example(kind, Path(folder))
    return Written(
        (file,), f"{file}: an example of a part ({kind}) to edit; `passband parts` lists it."
    )


def _source(like: str) -> Path:
    """Return the file of the study to begin with, from its name in the repository or its path."""
    known = repository.studies()
    if like not in known and not Path(like).is_file():
        raise ArgumentError(
            f"like = {like!r}: must be a study's file, or one of {', '.join(known)}"
        )
    return known.get(like, Path(like))


def _text(name: str, source: Path) -> str:
    """Return the text of a study's file with another name, and with comments for its reader."""
    like = load(source).study.name
    lines = source.read_text(encoding="utf-8").splitlines()
    head = next(k for k, line in enumerate(lines) if line and not line.startswith("#"))
    body = "\n".join(lines[head:])
    found = re.search(rf"^  name: {re.escape(like)}\b *", body, re.M)
    if found is None:
        raise PassbandError(f"{source}: has no line `  name: {like}`; give another study")
    named = f"  name: {name}"
    rest = body[found.end() :]
    if rest.startswith("#"):  # a comment stays in its column
        named = named.ljust(len(found[0]) - 1) + " "
    body = body[: found.start()] + named + rest
    schema = repository.folder() / "docs" / "config.schema.json"
    about = [line for line in lines[:head] if line and "$schema=" not in line]
    about = [] if like == "demo" else ["#", f"# About the study {like}:", *about]
    return "\n".join(
        [
            _SCHEMA.format(schema),
            f"# The study {name}. Results go to results/{name} in the folder in which it is run.",
            "# docs/configuration.md of Passband's repository explains every key.",
            *about,
            "",
            body,
            "",
        ]
    )
