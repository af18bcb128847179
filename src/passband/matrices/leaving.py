"""What :mod:`passband.matrices.matrix` replaces, until nothing asks for it any more."""

import numpy as np
import xarray as xr

from passband.matrices.matrix import GROUP, MatrixName, Source, by_matrix
from passband.matrices.packed import IMAGE_DICE, LARGEST, MISSING, OWN
from passband.scores import dice


def groups(data):
    shape = tuple(data.sizes[dimension] for dimension in GROUP)
    return list(zip(np.ndindex(shape), by_matrix(data).values(), strict=True))


def group_names(cells):
    return {dimension: str(cells[dimension].values) for dimension in GROUP}


def specimen_label(specimen, test_specimen):
    return MatrixName(specimen, "", test_specimen).specimens


def group_label(cells):
    return MatrixName(**group_names(cells)).label


def by_image(table, before=""):
    return table[f"{before}{IMAGE_DICE if IMAGE_DICE in table else 'counts'}"]


def own_by_image(table):
    has_own = any(f"{OWN}{name}" in table for name in ("counts", IMAGE_DICE))
    return by_image(table, OWN) if has_own else None


def image_dice(cells, *dimensions):
    if "outcome" in cells.dims:
        return dice(cells.transpose(*dimensions, "outcome").values)
    values = cells.transpose(*dimensions).values
    return np.where(values == MISSING, np.nan, values / LARGEST)


def mean_dice(table, before=""):
    cell = ("specimen", "architecture", "train", "replica", "test_specimen", "test")
    if IMAGE_DICE not in table:
        return table[f"{before}dice"].transpose(*cell)
    mean = image_dice(by_image(table, before), *cell, "structure").mean(-1).astype(np.float32)
    coords = {name: c for name, c in table.coords.items() if set(c.dims) <= {*cell}}
    return xr.DataArray(mean, coords, cell, f"{before}dice")


def unlearned(table, study):
    return Source(table, study=study).unlearned
