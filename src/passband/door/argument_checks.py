"""Checks of arguments that several verbs have."""

from pathlib import Path

from passband.errors import ArgumentError
from passband.words import listed


def check_file(name: str, file: Path, *endings: str) -> None:
    """Check that the folder of an output file exists, and that the file's name has an ending.

    Args:
        name: The name of the argument, for the error's message.
        endings: The allowed endings; by default, the name may be any.
    """
    if endings and not file.name.endswith(endings):
        raise ArgumentError(f"{name} = {str(file)!r}: must end in {listed(endings, 'or')}")
    if not file.parent.is_dir():
        raise ArgumentError(
            f"{name} = {str(file)!r}: there is no folder {file.parent}; create it first"
        )
