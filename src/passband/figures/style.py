"""The style of all figures: what a colour means, sizes, theme and labels. Also saves figures."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps, cycler
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from passband.axes import AXES, FURTHER_AXES
from passband.grid import Condition
from passband.parts import PACKAGE
from passband.storage import atomic

# A colour has the same meaning in all figures. The colours are those of Okabe & Ito (2008), which
# people with a colour vision deficiency can distinguish. Grey has its lightness from a test that
# simulates this deficiency.

#: A network under its training condition.
OWN = "#0072B2"
#: A network under another condition.
OTHER = "#D55E00"
#: The ground truth. Yellow is bright enough for images only.
TRUTH = "#F0E442"
#: Transfer functions, and what is computed from them.
TRANSFER = "#009E73"
#: Imaging parameters: the conditions as points of the grid.
PARAMETERS = "#E69F00"
#: Distances between images, or between features of networks.
FEATURES = "#56B4E9"
#: Specimens.
SPECIMENS = "#CC79A7"
#: Something to compare with, such as a choice at random or noise.
NEUTRAL = "0.35"
#: The best of all, or everything together.
EVERYTHING = "0"
#: The colour map of numbers that have an order, such as Dice.
PALETTE = "viridis"
#: Cells without a value.
MISSING = "0.8"

#: Largest luminance of a colour for lines on white.
_LIGHTEST = 0.62

#: Markers in the order of their use. Neighbours have different shapes and weights.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

#: Largest number of panels along one side (rows or columns) of a figure.
MAX_PANELS = 4

#: Width of one column of a journal [cm], and smallest width of a figure.
COLUMN_CM = 8.5
#: Width of two columns of a journal [cm], and largest width of a figure.
PAGE_CM = 17.0
_CM_PER_INCH = 2.54
#: Size of the smallest font [pt].
SMALL = 7.0
#: Size of other fonts [pt].
MEDIUM = 8.0

#: seaborn's theme "ticks" in the context "paper", with the sizes of a journal's figures.
_THEME = {
    "figure.facecolor": "white",
    "text.color": ".15",
    "font.family": "sans-serif",
    # It comes with Matplotlib, and the layout is computed for it.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": MEDIUM,
    "svg.fonttype": "none",
    "axes.facecolor": "white",
    "axes.edgecolor": ".15",
    "axes.labelcolor": ".15",
    "axes.labelsize": MEDIUM,
    "axes.titlesize": MEDIUM,
    "figure.titlesize": MEDIUM,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.prop_cycle": cycler(
        "color",
        [
            *("#4C72B0", "#DD8452", "#55A868", "#C44E52", "#8172B3"),
            *("#937860", "#DA8BC3", "#8C8C8C", "#CCB974", "#64B5CD"),
        ],
    ),
    "axes.grid": False,
    "grid.color": ".8",
    "grid.linestyle": "-",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.title_fontsize": SMALL,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.8,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.linewidth": 0.8,
    "patch.force_edgecolor": True,
    "axes.spines.left": True,
    "axes.spines.bottom": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.bottom": True,
    "xtick.top": False,
    "ytick.left": True,
    "ytick.right": False,
    "xtick.color": ".15",
    "xtick.direction": "out",
    "xtick.labelsize": SMALL,
    "xtick.major.width": 0.8,
    "xtick.minor.width": 0.6,
    "xtick.major.size": 3,
    "xtick.minor.size": 2,
    "ytick.color": ".15",
    "ytick.direction": "out",
    "ytick.labelsize": SMALL,
    "ytick.major.width": 0.8,
    "ytick.minor.width": 0.6,
    "ytick.major.size": 3,
    "ytick.minor.size": 2,
}

#: What M(j, j) − M(i, j) is called, wherever a figure shows it.
LOSS = "loss against the network trained there"


def metric_words(name: str, attrs: Mapping[str, str] | None = None) -> str:
    """Return what a metric is called, or else its name.

    Args:
        attrs: Those of its variable, which has the label of a metric of the study's own.
    """
    part = PACKAGE.of("metric").get(name) or PACKAGE.of("ood_metric").get(name)
    label = part.declaration.label if part else ""
    return (attrs or {}).get("label", "") or label or name


def weight_words(weight: str) -> str:
    """Return words for a weight of spatial frequencies, such as ``weight: spectrum of gold``."""
    words = {"flat": "all frequencies equal", "specimen": "the specimen's spectrum"}
    return f"weight: {words.get(weight, f'spectrum of {weight}')}"


def save(figure: Figure, paths: Iterable[str | Path], dpi: int) -> None:
    """Write a figure, in its exact size, to each path, completely or not at all, by its suffix."""
    try:
        for path in paths:
            with atomic.replacing(path) as beside:
                figure.savefig(beside, dpi=dpi)
    finally:
        plt.close(figure)


def set_theme() -> None:
    """Set the theme of a new figure."""
    plt.rcParams.update(_THEME)


def inches(cm: float) -> float:
    """Return a length [cm] in inches, the unit of matplotlib."""
    return cm / _CM_PER_INCH


def blank(width_cm: float, height_cm: float) -> Figure:
    """Return a new figure of this size [cm] without panels, in the theme of all figures."""
    set_theme()
    return plt.figure(figsize=(inches(width_cm), inches(height_cm)), layout="constrained")


def panels(
    rows: int, columns: int, width_cm: float, height_cm: float, **options: Any
) -> tuple[Figure, np.ndarray]:
    """Return a new figure of this size [cm], and its panels, a (rows, columns) array of axes."""
    figure = blank(width_cm, height_cm)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def letter(panels: Iterable[plt.Axes], above_pt: Sequence[float] | float = 4) -> None:
    """Write a, b, c … beside the upper left corners of panels, and above them by a distance [pt].

    A single panel has no letter.
    """
    panels = list(panels)
    heights = np.broadcast_to(above_pt, len(panels))
    several = zip(panels, ascii_lowercase, heights, strict=False) if len(panels) > 1 else ()
    for ax, name, height in several:
        ax.annotate(
            name,
            (0, 1),
            (-3, height),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            weight="bold",
            annotation_clip=False,
        )


def name_rows(ax: plt.Axes, words: Sequence[str]) -> None:
    """Write words beside their rows, with lines at the rows and at 0."""
    ax.set_yticks(range(len(words)), words)
    ax.tick_params(axis="y", length=0)
    ax.axvline(0, color="0.7", lw=0.8, zorder=0)
    ax.grid(axis="y", color="0.93")


def is_narrow(width_cm: float) -> bool:
    """Return whether a figure of this width [cm] has room for one panel where a page has two."""
    return width_cm < (COLUMN_CM + PAGE_CM) / 2


def differences() -> Colormap:
    """Return the colours of differences: blue if the network is better, white at 0, red if worse.

    The ends are the colours of a network under its own condition and under another condition.
    """
    return LinearSegmentedColormap.from_list("differences", [OWN, "white", OTHER])


def shades() -> Colormap:
    """Return the part of :data:`PALETTE` that is dark enough for points and lines on white."""
    values = colormaps[PALETTE](np.linspace(0, 1, 256))[:, :3]
    dark = values[values @ (0.2126, 0.7152, 0.0722) < _LIGHTEST]
    return LinearSegmentedColormap.from_list(f"{PALETTE}, dark", dark)


def levels(number: int) -> list[tuple]:
    """Return colours of the values of an axis, from low to high, for lines on white."""
    return [tuple(colour) for colour in shades()(np.linspace(0, 1, number))[:, :3]]


def evenly_spaced(values: Sequence, most: int = MAX_PANELS) -> list:
    """Return at most `most` sorted values, at even intervals, from the first to the last value."""
    values = sorted(values)
    if len(values) <= most:
        return values
    return [values[k] for k in np.linspace(0, len(values) - 1, most).round().astype(int)]


def rounded_range(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest range of multiples of 0.1 around all finite values, or 0 to 1."""
    step = 0.1
    finite = np.asarray(values)[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low = np.floor(finite.min() / step + 1e-9)
    high = np.ceil(finite.max() / step - 1e-9)
    if low == high:
        low -= 1
        high += 1
    return float(round(low * step, 9)), float(round(high * step, 9))


def number(value: float, form: str = "g") -> str:
    """Return a number as text with a true minus sign, such as ``−7.5``."""
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def short(value: float) -> str:
    """Return a number of at most three digits as text, such as ``34.6`` and ``1000``."""
    return number(float(f"{value:.3g}"))


def condition_label(condition: Condition) -> str:
    """Return the label of an imaging condition, such as ``20 nm · 1.2 µm · 18 mrad · 400 e/Å²``."""
    return " · ".join(
        value_label(name, value) if name in FURTHER_AXES else AXES[name].words(number(value))
        for name, value in condition.values().items()
    )


def value_label(name: str, value: float) -> str:
    """Return the name and the value of an axis, such as ``astigmatism 8 nm``."""
    return AXES[name].named(number(value))
