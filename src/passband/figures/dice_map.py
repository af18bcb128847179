"""The figure of a recommendation: expected Dice of the chosen network, and how far it is known."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from passband.axes import AXES, MAIN_AXES
from passband.figures import style
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.prediction.gaussian_process import COVERAGE
from passband.prediction.range_of_use import Asked, TestedDoses, ranges, scaled, unscaled
from passband.prediction.recommend.network_dice import NetworkDice

#: The axis of conditions along the figure's x axis.
X = "defocus_nm"
#: The axis of conditions along the figure's y axis.
Y = "dose_e_per_A2"
#: Number of values along each.
NUMBERS = (61, 41)
#: The map extends beyond the study's range and the asked values by this share of their width.
_MARGIN = 0.15
#: Largest number of intervals between lines of equal value.
_LINES = 6


def plane(
    asked: Asked, tested: Sequence[Condition], doses: TestedDoses
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of defocus [nm] and dose [e/Å²] that the figure shows.

    The values extend beyond the study's range and beyond the asked values, but not below the lowest
    dose at which a Dice is expected.
    """
    both = ranges([*tested, asked.low, asked.high], (X, Y))
    found = []
    for name, number in zip((X, Y), NUMBERS, strict=True):
        low, high = (scaled(name, end) for end in both[name])
        # An axis with a single value is shown with some values around it.
        margin = _MARGIN * (high - low) or 0.1 * max(1.0, abs(low))
        first = max(low - margin, scaled(Y, doses.lowest)) if name == Y else low - margin
        values = unscaled(name, np.linspace(first, high + margin, number))
        found.append(np.clip(values, MAIN_AXES[name].minimum, MAIN_AXES[name].maximum))
    return tuple(found)


def recommendation(
    asked: Asked,
    network: NetworkId,
    tested: Sequence[Condition],
    expected: Callable[[Sequence[Condition]], NetworkDice],
    doses: TestedDoses,
) -> Figure:
    """Return maps of a network's expected Dice over defocus and dose, and of its interval's width.

    All other parameters are those of the asked condition; for a range, the middle. The asked
    condition or its range is marked, and so is the range of the study's test conditions. Points
    show the defocus and dose of the study's test conditions, whatever their other parameters are.

    Args:
        expected: The function that returns the network's Dice under conditions.
        doses: The doses of the tests that this Dice is expected from.
    """
    middle = asked.middle
    x, y = plane(asked, tested, doses)
    conditions = [replace(middle, **{X: defocus, Y: dose}) for dose in y for defocus in x]
    found = expected(conditions)
    dice, width = (
        values.reshape(len(y), len(x)) for values in (found.mean, found.high - found.low)
    )
    # The colours are for the study's range: beyond it, Dice is extrapolated and may be anything.
    (x0, x1), (y0, y1) = ranges([*tested, asked.low, asked.high], (X, Y)).values()
    inside = np.ix_((y0 <= y) & (y <= y1), (x0 <= x) & (x <= x1))
    figure, ((left, right),) = style.panels(1, 2, style.PAGE_CM, 9.0, sharey=True)
    for ax, values, colours, words in (
        (left, dice, style.PALETTE, "expected Dice"),
        (right, width, "Greys", f"width of its {COVERAGE:.0%} interval"),
    ):
        _map(ax, (x, y, values), inside, colours, words)
        _mark(ax, asked, tested)
        ax.set(xlabel=AXES[X].title, xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    left.set_yscale("log")
    left.set_ylabel(AXES[Y].title)
    left.yaxis.set_major_formatter(lambda value, _: style.number(value))
    # If the doses span less than a factor of 10, minor ticks need labels too.
    is_short = y[-1] < 10 * y[0]
    left.yaxis.set_minor_formatter(lambda value, _: style.number(value) if is_short else "")
    trained = asked.axes.parse(network.condition)
    lens = ", ".join(
        AXES[name].words(style.number(value))
        if name in MAIN_AXES
        else style.value_label(name, value)
        for name, value in middle.values().items()
        if name not in (X, Y)
    )
    left.set_title(
        f"{network.specimen}, {network.architecture}, replica {network.replica}\n"
        f"trained at {style.condition_label(trained)}\ntested at {lens}",
        loc="left",
        fontsize=style.SMALL,
    )
    style.letter((left, right))
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, columnspacing=1)
    return figure


def _map(ax: Axes, of_plane: tuple, inside: tuple, colours: str, words: str) -> None:
    """Draw values (y, x) over x and y, with colours for the range of the values inside."""
    values = of_plane[-1]
    shown = values[inside] if values[inside].size else values
    low, high = shown.min(), shown.max()
    if high - low < 0.01:  # differences that small are none
        low, high = low - 0.05, high + 0.05
    how = {"vmin": low, "vmax": high, "cmap": colours, "shading": "gouraud", "rasterized": True}
    shown = ax.pcolormesh(*of_plane, **how)
    levels = MaxNLocator(_LINES, steps=[1, 2, 5, 10]).tick_values(low, high)
    lines = ax.contour(*of_plane, levels, colors="0.15", linewidths=0.6)
    edge = [withStroke(linewidth=2, foreground="white")]
    plt.setp(ax.clabel(lines, fontsize=style.SMALL, fmt="%g"), path_effects=edge)
    ends = {(True, True): "both", (True, False): "min", (False, True): "max"}
    beyond = ends.get((bool(values.min() < low), bool(values.max() > high)), "neither")
    ax.figure.colorbar(shown, ax=ax, label=words, location="bottom", extend=beyond, pad=0.02)


def _mark(ax: Axes, asked: Asked, tested: Sequence[Condition]) -> None:
    """Mark the study's range and tests, and the asked condition."""
    of_study = ranges(tested, (X, Y))
    edge = [withStroke(linewidth=2.4, foreground="white")]
    points = sorted({(c.defocus_nm, c.dose_e_per_A2) for c in tested})
    study = {"color": style.EVERYTHING, "ls": "--", "lw": 1, "label": "range of the study"}
    yours = {"color": style.OTHER, "lw": 1.6, "label": "your condition"}
    for ends, how in ((of_study, study), (asked.values, yours)):
        (x0, x1), (y0, y1) = ends[X], ends[Y]
        if x0 < x1 or y0 < y1 or how is study:
            ax.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], path_effects=edge, **how)
        else:
            ax.plot(x0, y0, "*", ms=13, color=how["color"], mec="white", label=how["label"])
    how = {"ms": 4, "color": style.EVERYTHING, "mec": "white", "label": "tested (any lens)"}
    ax.plot(*zip(*points, strict=True), "o", **how)
