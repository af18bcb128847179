"""Packed tables of results: small files with the scores of a piece of a study.

A table of results has three counts of pixels for every image. A packed table has the Dice of every
image in eight bits, and sums of pixels only for each cell. So the tests of a study fit into files
of a megabyte, from which all OOD metrics and their intervals can be computed.
"""

import numpy as np
import xarray as xr

from passband.matrices.stored import NETWORK
from passband.scores import OUTCOMES, dice

#: Largest value of a packed score, which is a score of 1.
LARGEST = 254
#: The value of a missing score.
MISSING = 255
#: The variable with the Dice of images, which only packed tables have.
IMAGE_DICE = "image_dice"
#: The beginning of the names of variables under each network's own training condition.
OWN = "own_"

_CELL = (*NETWORK, "test_specimen", "test")
# The dimensions of cells, by the beginning of the names of variables.
_CELLS = {"": _CELL, OWN: _CELL[:-1]}


def packed(table: xr.Dataset) -> xr.Dataset:
    """Return a table of results in packed form, without attributes; a packed table as it is.

    Args:
        table: The table of results, see :func:`passband.analysis.table.aggregate`.

    Returns:
        - `image_dice` (specimen, architecture, train, replica, test_specimen, test, structure)
          uint8: Dice times 254, rounded. A missing value is 255.
        - `tp` and `fp` (…, test) uint16 or uint32: numbers of pixels, the sums over structures.
        - If the table has the results of each network under its own training condition:
          `own_image_dice`, `own_tp` and `own_fp`, without the dimension `test`.
        - `val_loss`, `best_epoch` and `status` of each network, as in the table.
    """
    if IMAGE_DICE in table:
        return table
    variables = _scores(table.counts, _CELL)
    if f"{OWN}counts" in table:
        own = _scores(table[f"{OWN}counts"], _CELLS[OWN])
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
    scores = _eight_bits(dice(np.nan_to_num(values)), is_missing[..., None])
    attrs = {"units": "1/254", "missing": MISSING, "long_name": "Dice of each image"}
    variables: dict[str, tuple] = {IMAGE_DICE: ((*cell, "structure"), scores, attrs)}
    width = np.uint16 if sums.max() < 2**16 else np.uint32
    for name, words in (("tp", "true positives"), ("fp", "false positives")):
        attrs = {"units": "pixels", "long_name": f"{words}, sum over structures; 0: missing"}
        variables[name] = (cell, sums[..., OUTCOMES.index(name)].astype(width), attrs)
    return variables


def _eight_bits(scores: np.ndarray, is_missing: np.ndarray) -> np.ndarray:
    return np.where(is_missing, MISSING, np.rint(LARGEST * scores)).astype(np.uint8)


def unpacked(scores: np.ndarray) -> np.ndarray:
    """Return scores in eight bits as float64, NaN if missing."""
    return np.where(scores == MISSING, np.nan, scores / LARGEST)


def packed_mean(table: xr.Dataset, before: str = "") -> xr.DataArray:
    """Return each cell's mean Dice of a packed table, or of one matrix of it, NaN if missing.

    With `before` = :data:`OWN`, it is that under each network's own condition.
    """
    images = table[f"{before}{IMAGE_DICE}"]
    cell = [name for name in _CELLS[before] if name in images.dims]
    mean = unpacked(images.transpose(*cell, "structure").values).mean(-1).astype(np.float32)
    attrs = {"units": "1", "long_name": "Dice, mean over structures"}
    coords = {name: c.variable for name, c in table.coords.items() if {*c.dims} <= {*cell}}
    return xr.DataArray(mean, coords, cell, f"{before}dice", attrs)
