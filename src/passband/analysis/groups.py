"""The Dice matrices of a study, one for each specimen, architecture and test specimen."""

import numpy as np
import xarray as xr

#: Dimensions along which the Dice matrices of a study are stored. Each matrix has the dimensions
#: `train` and `test`.
GROUP = ("specimen", "architecture", "test_specimen")


def groups(
    data: xr.Dataset | xr.DataArray,
) -> list[tuple[tuple[int, int, int], xr.Dataset | xr.DataArray]]:
    """Return the index of each Dice matrix along :data:`GROUP`, and the data of this matrix.

    In the data of a matrix, the dimensions of :data:`GROUP` are scalar coordinates. Data on disk
    are not read.
    """
    shape = tuple(data.sizes[dimension] for dimension in GROUP)
    return [(index, data.isel(dict(zip(GROUP, index, strict=True)))) for index in np.ndindex(shape)]


def group_names(cells: xr.Dataset | xr.DataArray) -> dict[str, str]:
    """Return the specimen, architecture and test specimen of a Dice matrix, by dimension."""
    return {dimension: str(cells[dimension].values) for dimension in GROUP}


def specimen_label(specimen: str, test_specimen: str) -> str:
    """Return ``gold``, or ``gold → silver`` for networks that are tested on another specimen."""
    return specimen if specimen == test_specimen else f"{specimen} → {test_specimen}"


def group_label(cells: xr.Dataset | xr.DataArray) -> str:
    """Return a Dice matrix's name for figures and reports, such as ``unet, gold → silver``."""
    specimen, architecture, test_specimen = group_names(cells).values()
    return f"{architecture}, {specimen_label(specimen, test_specimen)}"
