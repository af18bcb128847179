"""The colours of the explorer's matrices."""

from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn  # noqa: F401, registers its colour maps

from passband.reports.explorer import Blocks

#: Colour maps that people with any colour vision can read. The last one is for numbers of both
#: signs.
_NAMES = ("viridis", "cividis", "gray")
DIVERGING = "PuOr_r"


def tables(palette: str, blocks: Blocks) -> list[dict[str, Any]]:
    """Return colour maps as (256, 3) arrays of numbers from 0 to 255; the first is the default.

    Args:
        palette: The study's colour map, see the key `figures.palette`.
        blocks: The arrays are added to these blocks.
    """
    names = dict.fromkeys([palette, *_NAMES, DIVERGING])
    return [
        {"name": name, "diverging": name == DIVERGING, "rgb": blocks.bytes(table(name))}
        for name in names
    ]


def table(name: str) -> np.ndarray:
    """Return a colour map, as a (256, 3) uint8 array."""
    return np.round(255 * mpl.colormaps[name](np.arange(256))[:, :3]).astype(np.uint8)
