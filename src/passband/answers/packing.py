"""Packs the results of a piece of a study in small files, which a merge reads."""

from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from passband.analysis import table_union
from passband.answers.opened_pieces import PROVENANCE, open_piece, spectra, spectrum_attribute
from passband.errors import PassbandError
from passband.matrices.packed import OWN, packed
from passband.mixtures import MIXTURES
from passband.results import Results
from passband.results.pieces import FILE, FILES, find
from passband.storage import datasets, provenance


def pack(noun: str | Path | Results, folder: Path, most_bytes: int = 10**6) -> list[Path]:
    """Write the packed table of a piece in files small enough for a repository.

    The files appear when all are written. Each of several files has the number of files, so that a
    merge refuses some of them without the others.

    Args:
        noun: The piece, see :func:`passband.results.pieces.find`.
        folder: The folder for the files, whose names begin with the name of the study.
        most_bytes: Largest size of a file with several training conditions.

    Returns:
        The files. With several files, each has some of the training conditions.

    Raises:
        PassbandError: If the piece is missing or damaged, or if files of this study are in the
            folder.
    """
    found = find(noun)
    name = found.study.study.name
    if there := sorted(folder.glob(f"{name}.zarr.zip")) + sorted(folder.glob(f"{name}-*.zarr.zip")):
        raise PassbandError(f"{there[0]}: exists; delete it, or give another folder")
    whole = open_piece(found).table
    of_merged = [table_union.PIECE, *(f"{name}dice" for name in ("", OWN))]
    small = packed(whole).drop_vars(of_merged, errors="ignore").load().drop_encoding()
    kept = *PROVENANCE, "configuration", MIXTURES, provenance.OWN_PARTS
    attrs = {n: whole.attrs[n] for n in kept if n in whole.attrs}
    attrs |= spectrum_attribute(spectra([found]))
    rows = small.sizes["train"]
    number = 1
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".") as temporary:
        while True:
            beside = Path(temporary) / f"{number}"
            written = []
            for k, places in enumerate(np.array_split(np.arange(rows), number), 1):
                file = beside / (f"{name}.zarr.zip" if number == 1 else f"{name}-{k:02d}.zarr.zip")
                of_file = {FILE: k, FILES: number} if number > 1 else {}
                datasets.write(small.isel(train=places), file, datasets.PACKED, attrs | of_file)
                written.append(file)
            largest = max(file.stat().st_size for file in written)
            if largest <= most_bytes or number == rows:
                break
            number = min(rows, max(number + 1, ceil(number * largest / most_bytes)))
        return [file.rename(folder / file.name) for file in written]
