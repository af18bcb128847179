"""Joins pieces of a study that were computed on several machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.door.argument_checks import check_file
from passband.results import Results

if TYPE_CHECKING:
    from passband.answers.merge import Merged


def merge(
    pieces: Sequence[str | Path | Results], into: str | Path, *, common: bool = False
) -> "Merged":
    """Link what pieces of a study have made into one study, completely or not at all.

    `passband.open(into).run()` then makes the table of the whole.

    Args:
        pieces: Studies, their names, files or folders of results.
        into: The new folder of results, such as `results/whole`; its name is the study's name.
        common: Leave out test conditions that some pieces lack, which are otherwise an error.

    Raises:
        PassbandError: If a piece is missing, the pieces do not agree, or the folder exists.

    Example:
        >>> whole = passband.merge(["demo"], into="results/whole")
        >>> whole.missing
        0
    """
    into = Path(into)
    check_file("into", into)
    from passband.answers import merge as merging

    return merging.merge(pieces, into, common)
