"""The figure of the smoothness of Dice over the conditions."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from passband.axes import AXES
from passband.figures import style
from passband.figures.prediction import blocks


def smoothness(predicted: xr.Dataset, palette: str, width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of steps of Dice on the grid, and of Dice's correlation with metrics.

    Each Dice matrix has two panels. The first panel shows the mean of |ΔM|, the step of mean Dice
    between neighbours on the grid, and the mean deviation of mean Dice from a straight line through
    two neighbours. Both quantities are shown between networks and between test conditions. A thin
    line goes from the value that noise alone would cause to the measured value. The second panel
    shows Spearman's ρ of mean Dice and each metric, with the interval of ρ. Filled points are ρ
    over all pairs of different conditions. Open points are ρ within pairs of doses.

    Args:
        palette: Not used, since the figure has no scale of colours.
    """
    narrow = style.is_narrow(width_cm)
    ranks_cm = 0.62 * predicted.sizes["metric"] + 1.5
    heights = [5.5, ranks_cm] if narrow else [max(5.5, ranks_cm)]
    figure, parts = blocks(predicted, heights, 1 if narrow else 2, width_cm, 4.4 if narrow else 2)
    every: list[Axes] = []
    for grid, name, matrix in parts:
        steps, ranks = (figure.add_subplot(grid[k]) for k in range(2))
        steps.set_title(name, loc="left", fontsize=style.SMALL)
        _steps(steps, matrix)
        _ranks(ranks, matrix)
        every += [steps, ranks]
    style.letter(every)
    handles, names = (
        [entry for ax in (steps, ranks) for entry in ax.get_legend_handles_labels()[k]]
        for k in range(2)
    )
    figure.legend(handles, names, loc="outside lower center", ncols=1 if narrow else 3)
    return figure


def _steps(ax: Axes, matrix: xr.Dataset) -> None:
    """Draw mean changes of Dice along each axis, above the changes that noise alone causes."""
    matrix = matrix.isel(along=np.flatnonzero(matrix.step.notnull().any("step_end").values))
    if not matrix.sizes["along"]:
        words = "no steps: no two conditions\ndiffer in a single parameter"
        ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes)
        ax.set_axis_off()
        return
    place = np.arange(matrix.sizes["along"])
    words = {"step": "step", "bend": "off a line", "train": "networks", "test": "test conditions"}
    shapes = {"train": ("o", style.EVERYTHING), "test": ("s", style.NEUTRAL)}
    for k, (value, end) in enumerate(
        (("step", "train"), ("step", "test"), ("bend", "train"), ("bend", "test"))
    ):
        marker, colour = shapes[end]
        x = place + 0.19 * (k - 1.5)
        y, noise = (matrix[name].sel(step_end=end).values for name in (value, f"{value}_noise"))
        ax.vlines(x, noise, y, color=colour, lw=0.8)
        ax.plot(x, noise, "_", color=colour, ms=6, label="noise alone" if k == 0 else None)
        face = colour if value == "step" else "white"
        label = f"{words[value]}, {words[end]}"
        ax.plot(x, y, ls="", marker=marker, ms=4.5, mec=colour, mfc=face, label=label)
    ax.set_xticks(place, [AXES[str(a)].label for a in matrix.along.values])
    ax.set_xlim(-0.5, len(place) - 0.5)
    ax.set_ylim(bottom=0)
    ax.set(ylabel="mean change of Dice")


def _ranks(ax: Axes, matrix: xr.Dataset) -> None:
    """Draw Spearman's ρ of mean Dice and each metric, for each weight of frequencies."""
    whole = [weight for weight in matrix.weight.values if "/" not in weight]  # no bands
    for k, (weight, marker) in enumerate(zip(whole, style.MARKERS, strict=False)):
        weighted = matrix.sel(weight=weight)
        for n, kind in enumerate(("along_rho", "along_rho_dose")):
            y = np.arange(matrix.sizes["metric"]) + 0.4 * (k - 0.5) + 0.2 * (n - 0.5)
            low, high = weighted[f"{kind}_interval"].transpose("bound", "metric").values
            ax.hlines(y, low, high, color=style.TRANSFER, lw=1)
            ax.plot(
                weighted[kind],
                y,
                ls="",
                marker=marker,
                ms=4,
                mec=style.TRANSFER,
                mfc="white" if n else style.TRANSFER,
                label=f"{style.weight_words(weight)}{', equal doses' if n else ''}",
            )
    style.name_rows(ax, matrix.metric.values)
    ax.set_ylim(matrix.sizes["metric"] - 0.4, -0.6)
    ax.set(xlim=(-1.03, 1.03), xlabel="Spearman's ρ with mean Dice")
