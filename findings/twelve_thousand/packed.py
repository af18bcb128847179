"""The packed pieces of the twelve thousand, which are in git, and how results are packed.

A table of results has three counts of pixels for every image. A packed table has the Dice of every
image in eight bits, and sums of pixels only for each cell. So the tests of 12,096 networks fit into
18 MB, from which all statistics and their intervals can be computed. The Dice of a single image is
off by up to 0.002, and means over images by less.

The package had this format, and joined such pieces, up to version 0.3.0; no other study has it.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr

from findings.twelve_thousand.pieces import DATA, WHOLE, check_pieces
from passband import PassbandError
from passband.analysis import mixture_metrics
from passband.analysis.spectra import (
    SPECTRUM,
    flat_spectrum,
    mean_spectrum,
    stored_spectra,
    to_json,
)
from passband.config import Study, load
from passband.grid import along
from passband.matrices.matrix import Matrix
from passband.matrices.of_study import StudyMatrices
from passband.matrices.stored import NETWORK
from passband.matrices.table_images import Images, reading
from passband.results import Results, layout
from passband.results.stores import load_table
from passband.scores import OUTCOMES, dice
from passband.storage import datasets

#: The kind of the stores.
KIND = "packed table"
#: Largest value of a packed score, which is a score of 1; and the value of a missing score.
LARGEST, MISSING = 254, 255
#: The variable with the Dice of images.
IMAGE_DICE = "image_dice"
#: The beginning of the names of variables under each network's own training condition.
OWN = "own_"
#: The number of files of a piece, each with some of its training conditions.
FILES = 2
#: Attributes of a table of results that its pack has.
KEPT = (
    *("study", "config_digest", "passband_version", "git_revision", "command", "created"),
    "configuration",
)

_CELL = (*NETWORK, "test_specimen", "test")


# ── Files ────────────────────────────────────────────────────────────────────────────────────────


def tables(folder: Path = DATA / "parts") -> Iterator[xr.Dataset]:
    """Yield the tables of the pieces, each with some of the study's training conditions, in order.

    Raises:
        PassbandError: If there are no pieces.
    """
    paths = sorted(folder.glob("*.zarr.zip"))
    if not paths:
        raise PassbandError(f"{folder}: has no packed pieces")
    for path in paths:
        with datasets.open_checked(path, KIND) as table:
            yield table


def pieces() -> Iterator[Matrix]:
    """Yield the only matrix of each piece."""
    for table in tables():
        yield from matrices(table)


@cache
def joined(folder: Path = DATA, whole: Path = WHOLE) -> xr.Dataset:
    """Return the networks of all pieces as one table, in memory.

    Args:
        folder: The folder of the tables, with the pieces in its folder ``parts``.
        whole: The file of the whole study.

    Raises:
        PassbandError: If networks of the whole study are missing.
    """
    parts = folder / "parts"
    table = xr.concat(
        [each.load() for each in tables(parts)],
        "train",
        data_vars="minimal",
        coords="minimal",
        compat="equals",
        join="exact",
        combine_attrs="drop_conflicts",
    )
    check_pieces(map(str, table.train.values), parts, whole)
    return table


@cache
def information() -> xr.Dataset:
    """Return the information metrics of all pairs of conditions of the whole study."""
    study = load(WHOLE)
    table = joined()
    return mixture_metrics.metrics(
        along(table, "train"),
        study.mixtures,
        along(table, "test"),
        microscope=study.microscope,
        spectra={"flat": flat_spectrum(), **stored_spectra(table.attrs, "the packed pieces")},
        seed=study.study.seed,
        bands=study.information.bands_per_A,
    )


def write(results: Path, folder: Path) -> list[Path]:
    """Write a piece's table of results to packed files, and return them.

    Args:
        results: The piece's folder of results, with its exit waves.
    """
    table = load_table(results / layout.TABLE)
    of = Results(None, results)
    study: Study = of.study
    curves = {
        name: to_json(mean_spectrum(of.spectrum_structures(name)))
        for name in study.trained_specimens
    }
    attrs = {name: table.attrs[name] for name in KEPT} | {SPECTRUM: json.dumps(curves)}
    small = packed(table)
    files = []
    for number, rows in enumerate(np.array_split(np.arange(small.sizes["train"]), FILES), 1):
        file = folder / f"{study.study.name}-{number:02d}.zarr.zip"
        datasets.write(small.isel(train=rows), file, KIND, attrs)
        files.append(file)
    return files


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────


def packed(table: xr.Dataset) -> xr.Dataset:
    """Return a table of results in packed form, without attributes.

    Returns:
        - `image_dice` (specimen, architecture, train, replica, test_specimen, test, structure)
          uint8: Dice times 254, rounded. A missing value is 255.
        - `tp` and `fp` (…, test) uint16 or uint32: numbers of pixels, the sums over structures.
        - If the table has the results of each network under its own training condition:
          `own_image_dice`, `own_tp` and `own_fp`, without the dimension `test`.
        - `val_loss`, `best_epoch` and `status` of each network, as in the table.
    """
    variables = _scores(table.counts, _CELL)
    if f"{OWN}counts" in table:
        own = _scores(table[f"{OWN}counts"], _CELL[:-1])
        variables |= {f"{OWN}{name}": variable for name, variable in own.items()}
    for name in ("val_loss", "best_epoch", "status"):
        if name in table:
            variables[name] = table[name].transpose(*NETWORK).load().drop_encoding()
    coords = {
        name: values
        for name, values in table.coords.items()
        if name in _CELL or name.startswith(("train_", "test_"))
    }
    return xr.Dataset(variables, coords).drop_encoding()


def _scores(counts: xr.DataArray, cell: tuple[str, ...]) -> dict[str, tuple]:
    """Return the packed variables of counts."""
    values = counts.transpose(*cell, "structure", "outcome").values
    is_missing = np.isnan(values).any((-2, -1))
    sums = np.where(is_missing[..., None], 0, np.nansum(values, axis=-2))
    rounded = np.rint(LARGEST * dice(np.nan_to_num(values)))
    scores = np.where(is_missing[..., None], MISSING, rounded).astype(np.uint8)
    attrs = {"units": "1/254", "missing": MISSING, "long_name": "Dice of each image"}
    variables: dict[str, tuple] = {IMAGE_DICE: ((*cell, "structure"), scores, attrs)}
    width = np.uint16 if sums.max() < 2**16 else np.uint32
    for name, words in (("tp", "true positives"), ("fp", "false positives")):
        attrs = {"units": "pixels", "long_name": f"{words}, sum over structures; 0: missing"}
        variables[name] = (cell, sums[..., OUTCOMES.index(name)].astype(width), attrs)
    return variables


def unpacked(scores: np.ndarray) -> np.ndarray:
    """Return scores in eight bits as float64, NaN if missing."""
    return np.where(scores == MISSING, np.nan, scores / LARGEST)


def mean_dice(table: xr.Dataset) -> xr.DataArray:
    """Return each cell's mean Dice of a packed table, or of one matrix of it, NaN if missing."""
    images = table[IMAGE_DICE]
    cell = [name for name in _CELL if name in images.dims]
    mean = unpacked(images.transpose(*cell, "structure").values).mean(-1).astype(np.float32)
    attrs = {"units": "1", "long_name": "Dice, mean over structures"}
    coords = {name: c.variable for name, c in table.coords.items() if {*c.dims} <= {*cell}}
    return xr.DataArray(mean, coords, cell, "dice", attrs)


class PackedImages(Images):
    """The images of a packed table: their Dice in eight bits, and sums of pixels of each cell."""

    rounding = 0.5 / LARGEST
    _variable = IMAGE_DICE

    @property
    def score_names(self) -> tuple[str, ...]:
        return ("dice",)

    @reading()
    def mean_scores(self, name: str = "dice") -> xr.DataArray:
        self._check(name)
        return mean_dice(self.table)

    @reading()
    def sums(self, row: int) -> dict[str, np.ndarray]:
        cells = self.table[["tp", "fp"]].isel(train=row)
        return {name: cells[name].transpose("replica", "test").values for name in cells}

    def particle_pixels(self, test_specimen: int, own: bool = False) -> np.ndarray:
        raise PassbandError("a packed table has no particle pixels")

    def _scores(self, cells: xr.DataArray, order: tuple[str, ...], name: str) -> np.ndarray:
        return unpacked(cells.transpose(*order).values)


def matrices(table: xr.Dataset) -> list[Matrix]:
    """Return the matrix of each specimen, architecture and test specimen of a packed table."""
    of_table = StudyMatrices()
    of_table.images = PackedImages(table)
    return of_table.matrices
