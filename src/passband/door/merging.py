"""Packs and joins pieces of a study that were computed on several machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.door.arguments import check_file
from passband.outcomes import Progress, Written, counted
from passband.results import Results
from passband.results.pieces import check_target, find, find_all

if TYPE_CHECKING:
    from passband.answers.merge import Merged


def pack(piece: str | Path | Results, into: str | Path) -> Written:
    """Write the results of a piece of a study to small files that :func:`merge` reads.

    They have the Dice of each test image in eight bits, and sums of pixels for each cell.

    Args:
        piece: A study, its folder of results, or its `table.zarr`.
        into: The folder for the files.

    Raises:
        PassbandError: If there are no such results, or if the files are there already.

    Example:
        >>> files = passband.pack("demo", into="packed").files
    """
    find(piece)  # mistakes are named before xarray is imported
    from passband.answers import packing

    files = packing.pack(piece, Path(into))
    lines = [f"{file.stat().st_size / 1e6:.2f} MB in {file}" for file in files]
    return Written(tuple(files), "\n".join(lines))


def merge(
    pieces: Sequence[str | Path | Results],
    into: str | Path,
    *,
    common: bool = False,
    ood: str | Path | None = None,
    progress: Progress | None = None,
) -> "Merged":
    """Join pieces of a study to one table, completely or not at all.

    The information metrics and the OOD metrics of the whole are computed, too.

    Args:
        pieces: Studies, their folders of results, their `table.zarr`, or files of :func:`pack`.
        into: The new folder of results, such as `results/whole`; its name is the study's name.
        common: Leave out test conditions that some pieces lack, which are otherwise an error.
        ood: Also write the OOD metrics to this small file, without intervals of single cells.
        progress: Is called with the number of matrices whose OOD metrics are done, and of all.

    Raises:
        PassbandError: If a piece is missing or damaged, the pieces do not agree, or the folder
            exists.

    Example:
        >>> whole = passband.merge(["demo"], into="results/whole")
        >>> matrices = passband.open("whole").matrices()
    """
    into = Path(into)
    small = None if ood is None else Path(ood)
    check_file("into", into)
    if small is not None:
        check_file("ood", small, ".zarr.zip")
    check_target(into)
    find_all(pieces)  # mistakes are named before xarray is imported
    from passband.answers import merge as merging

    return merging.merge(
        pieces, into, common=common, small=small, progress=counted(progress, "OOD metrics")
    )
