"""A study with other values of some keys, which has its own name and its file with its results."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

import yaml

from passband.config import load, study_file
from passband.errors import ArgumentError
from passband.results import layout, locate
from passband.results.study_folder import Results

AnyResults = TypeVar("AnyResults", bound=Results)

#: The folder of results of a changed study without a name: no study can have this name.
_NAMELESS = "--set"


def change(
    results: AnyResults, changes: Mapping[str, object] | Sequence[str], name: str = ""
) -> AnyResults:
    """Return a study with changed keys. Its file is written when it runs, see :func:`write`.

    Args:
        changes: The new values by key, such as ``training.epochs``; or ``training.epochs=3``.
        name: The changed study's name, if it is going to have results.

    Raises:
        ConfigError: If a key or a value is wrong.
        ArgumentError: If the name is that of another study.
    """
    results.check_trusted()
    if name and results.study.known_parts.folder is not None:
        raise ArgumentError(
            f"name = {name!r}: the study has parts of its own, which would not be beside the file "
            "of the changed study; copy its file and the folder parts instead, and edit the copy"
        )
    words = list(changes)
    if isinstance(changes, Mapping):
        words = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    if not words:
        raise _not_together()
    for word in words:
        if name and word.startswith("study.name="):
            raise ArgumentError(
                f"changes = {word!r}: name = {name!r} is the name; leave this out",
                "changes",
                "name",
            )
    named = [f"study.name={json.dumps(name)}"] if name else []
    study = load(results.file, [*words, *named])
    folder = results.folder.with_name(name or _NAMELESS)
    if name and (os.path.lexists(folder) or locate.file_of(folder, name)):
        raise ArgumentError(
            f"name = {name!r}: there is already a study of this name, or {folder}; give another "
            f"name, or go on with the study by `passband run {name}`"
        )
    changed = type(results)(study, folder, folder / layout.STUDY, name)
    changed.check_new(f"{results.file} with --set")
    return changed


def check_named(results: Results) -> None:
    """Raise ArgumentError if this is a changed study without a name, which can have no results."""
    if results.name == _NAMELESS:
        raise _not_together()


def _not_together() -> ArgumentError:
    """Return the error of changes without a name, or of a name without changes."""
    return ArgumentError(
        "changes and name: must be given together; the changed study has a name of its own",
        "changes",
        "name",
    )


def has_its_file(results: Results) -> bool:
    """Return whether the file of a study is, or will be, in its folder of results."""
    return results.file.name == layout.STUDY


def write(results: Results) -> None:
    """Write the file of a changed study in a new folder, or nothing."""
    content = results.study.written()
    file = results.file
    for name, specimen in results.study.specimens.items():
        if specimen.file:  # the path begins in the folder of the study's file
            content["specimens"][name]["material"] = os.path.relpath(specimen.file, file.parent)
    text = yaml.safe_dump(content, sort_keys=False)
    study_file.parse(text, str(file))  # what is too large to read again is refused here
    file.parent.mkdir(parents=True)  # fails if another process has made it just now
    try:
        file.write_text(text, encoding="utf-8")
    except BaseException:
        file.unlink(missing_ok=True)
        file.parent.rmdir()
        raise
