"""Opens the table of results."""

from pathlib import Path

import numpy as np
import xarray as xr

from passband.axes import AXES
from passband.storage import datasets


def load_table(path: str | Path) -> xr.Dataset:
    """Open a study's table of results. Each variable is read from disk when it is used.

    Text has a fixed width, since xarray cannot plot text of variable width. In long names, the axes
    of training and test conditions differ. Code that writes the table to another store opens it
    with :func:`passband.storage.datasets.open_folder`, so that the attributes stay.

    Raises:
        StoreError: If there is no table of results at the path, or if the table is damaged.
    """
    opened = datasets.open_folder(path, datasets.TABLE)
    coords = {
        name: (c.dims, np.array(c.values.tolist(), dtype=str), c.attrs)
        for name, c in opened.coords.items()
        if c.dtype.kind in "OT"
    }
    opened = opened.assign_coords(coords)
    for side, word in (("train", "training"), ("test", "test")):
        for name, axis in AXES.items():
            if (coordinate := f"{side}_{name}") in opened.coords:
                opened[coordinate].attrs["long_name"] = f"{word} {axis.label}"
    return opened
