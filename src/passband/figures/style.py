"""The style of all figures: colours, theme and labels. This module also saves figures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from passband.grid import AXES, Condition
from passband.storage import atomic

#: Colours that do not depend on the palette: colour of the training condition, of other conditions,
#: and of the ground truth.
OWN, OTHER, TRUTH = "#2a6f97", "#d1495b", "#f4d35e"


#: Largest number of panels along one side (rows or columns) of a figure.
MAX_PANELS = 4


def save(figure: Figure, paths: Iterable[str | Path], dpi: int) -> None:
    """Write a figure to each path, completely or not at all, in the format of the path's suffix."""
    try:
        for path in paths:
            with atomic.replacing(path) as beside:
                figure.savefig(beside, dpi=dpi, bbox_inches="tight")
    finally:
        plt.close(figure)


def set_theme() -> None:
    """Set seaborn's theme for a new figure."""
    sns.set_theme(
        "paper",
        "ticks",
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.fonttype": "none",
            "legend.frameon": False,
        },
    )


def evenly_spaced(values: Sequence, most: int = MAX_PANELS) -> list:
    """Return at most `most` sorted values, at even intervals, from the first to the last value."""
    values = sorted(values)
    if len(values) <= most:
        return values
    return [values[k] for k in np.linspace(0, len(values) - 1, most).round().astype(int)]


def condition_label(id: str) -> str:
    """Return the label of an imaging condition, such as ``20 nm · 1.2 µm · 18 mrad · 400 e/Å²``."""
    condition = Condition.parse(id)
    return " · ".join(f"{getattr(condition, a.name):g} {a.unit}" for a in AXES.values())
