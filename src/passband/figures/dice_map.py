"""The figure of a recommendation: expected Dice of the chosen network around the condition."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from passband.axes import AXES, MAIN_AXES
from passband.figures import style
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.prediction.range_of_use import Asked, ranges, scaled, unscaled

#: The two axes of the figure, and the number of values along each.
X, Y, NUMBERS = "defocus_nm", "dose_e_per_A2", (61, 41)
#: The map extends beyond the study's range and the asked values by this share of their width.
_MARGIN = 0.15
#: Width of the figure [cm].
_WIDTH_CM = 11.0


def plane(asked: Asked, tested: Sequence[Condition]) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of defocus [nm] and dose [e/Å²] that the figure shows.

    The values extend beyond the study's range and beyond the asked values.
    """
    both = ranges([*tested, asked.low, asked.high], (X, Y))
    found = []
    for name, number in zip((X, Y), NUMBERS, strict=True):
        low, high = (scaled(name, end) for end in both[name])
        # An axis with a single value is shown with some values around it.
        margin = _MARGIN * (high - low) or 0.1 * max(1.0, abs(low))
        values = unscaled(name, np.linspace(low - margin, high + margin, number))
        found.append(np.clip(values, MAIN_AXES[name].minimum, MAIN_AXES[name].maximum))
    return tuple(found)


def recommendation(
    asked: Asked,
    network: str,
    tested: Sequence[Condition],
    expected: Callable[[Sequence[Condition]], np.ndarray],
    palette: str,
) -> Figure:
    """Return the map of a network's expected Dice over defocus and dose.

    All other parameters are those of the asked condition; for a range, the middle. The asked
    condition or its range is marked, and so is the range of the study's test conditions. Points
    show the defocus and dose of the study's test conditions, whatever their other parameters are.

    Args:
        expected: The function that returns the network's expected Dice (condition,) under
            conditions.
    """
    middle, (x, y) = asked.middle, plane(asked, tested)
    conditions = [replace(middle, **{X: defocus, Y: dose}) for dose in y for defocus in x]
    dice = np.reshape(expected(conditions), (len(y), len(x)))
    figure, ((ax,),) = style.panels(1, 1, _WIDTH_CM, 9.5)
    low, high = style.rounded_range(dice)
    shown = ax.pcolormesh(
        x, y, dice, vmin=low, vmax=high, cmap=palette, shading="gouraud", rasterized=True
    )
    levels = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    lines = ax.contour(x, y, dice, levels, colors="white", linewidths=0.7)
    ax.clabel(lines, fontsize=style.SMALL, fmt="%g")
    of_study = ranges(tested, (X, Y))
    (left, right), (bottom, top) = (of_study[name] for name in (X, Y))
    ax.add_patch(
        Rectangle(
            (left, bottom),
            right - left,
            top - bottom,
            fill=False,
            ls="--",
            lw=1,
            ec="white",
            label="range of the study",
        )
    )
    points = sorted({(c.defocus_nm, c.dose_e_per_A2) for c in tested})
    ax.plot(*zip(*points, strict=True), ".", color="white", ms=5, label="tested (any lens)")
    (x0, x1), (y0, y1) = (asked.values[name] for name in (X, Y))
    if x0 < x1 or y0 < y1:
        ax.plot(
            [x0, x1, x1, x0, x0],
            [y0, y0, y1, y1, y0],
            color=style.OTHER,
            lw=1.6,
            label="your condition",
        )
    else:
        ax.plot(x0, y0, "*", ms=13, color=style.OTHER, mec="white", label="your condition")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(lambda value, _: style.number(value))
    # If the doses span less than a factor of 10, minor ticks need labels too.
    is_short = y[-1] < 10 * y[0]
    ax.yaxis.set_minor_formatter(lambda value, _: style.number(value) if is_short else "")
    ax.set(xlabel="defocus (nm)", ylabel="dose (e/Å²)", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    figure.colorbar(shown, ax=ax, label="expected Dice")
    of = NetworkId.parse(network)
    trained = asked.axes.parse(of.condition)
    lens = ", ".join(
        AXES[name].words(style.number(value))
        if name in MAIN_AXES
        else style.value_label(name, value)
        for name, value in middle.values().items()
        if name not in (X, Y)
    )
    ax.set_title(
        f"{of.specimen}, {of.architecture}, replica {of.replica}\n"
        f"trained at {style.condition_label(trained)}\ntested at {lens}",
        loc="left",
        fontsize=style.SMALL,
    )
    legend = figure.legend(loc="outside lower center", ncols=3, frameon=True, columnspacing=1)
    legend.get_frame().set(facecolor="0.6", edgecolor="none")
    return figure
