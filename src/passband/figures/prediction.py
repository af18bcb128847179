"""Figures of the prediction of Dice."""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.figure import Figure

from passband.figures import style
from passband.grid import AXES
from passband.prediction.cross_validation import CTF
from passband.prediction.matrices import predicted_matrices
from passband.prediction.models import COMBINED, STACKED
from passband.prediction.prediction import headline

#: Labels of the sets of features, in the order of the figures.
FEATURES = {
    "ctf": "transfer functions",
    "raw": "imaging parameters",
    "spectral": "image spectra",
    "id": "in-distribution Dice",
    "cka": "CKA of networks",
    "frechet": "Fréchet distance of features",
    "mmd": "MMD of features",
    "mean": "mean",
    COMBINED: "combined with a Gaussian process",
}


def prediction(predicted: xr.Dataset, palette: str) -> Figure:
    """Return the figure of predictions of held-out cells, with a column for each Dice matrix.

    The upper panel of a column shows predicted Dice against true Dice. Whole levels of an axis are
    held out in training, and all axes are shown together. The lower panel shows R² for each
    held-out axis and each set of features, by the stack of models. If the Gaussian process on
    profiles was evaluated, the lower panel also shows R² of the combined prediction, which the
    upper panel shows too. Points are R² over all levels of an axis, with bootstrap intervals. Ticks
    are R² of single levels of an axis, for the prediction of the upper panel only.
    """
    figure, axes, matrices = _columns(predicted, (2.6, 3.8))
    sets = [name for name in _in_order(predicted.features.values) if name != "mean"]
    colours = _feature_colours(sets)
    for (parity, below), (name, matrix) in zip(axes.T, matrices.items(), strict=True):
        _parity(parity, matrix, palette)
        parity.set_title(name, loc="left", fontsize="small")
        _left_out(below, matrix, sets, colours)
    handles, names = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _columns(
    predicted: xr.Dataset, heights: Sequence[float]
) -> tuple[Figure, np.ndarray, dict[str, xr.Dataset]]:
    """Return a figure with a column of panels for each Dice matrix, its axes, and the matrices.

    A column of panels is as wide as a text column of a journal. Dice matrices that were too small
    for predictions are left out.
    """
    style.set_theme()
    matrices = predicted_matrices(predicted)
    figure, axes = plt.subplots(
        len(heights),
        len(matrices),
        figsize=(3.5 * len(matrices), sum(heights) + 0.4),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    return figure, axes, matrices


def _in_order(names: Iterable) -> list[str]:
    names = [str(name) for name in names]
    return [*(n for n in FEATURES if n in names), *(n for n in names if n not in FEATURES)]


def _feature_colours(sets: Sequence[str]) -> dict[str, tuple]:
    others = iter(sns.color_palette("deep", len(sets) + 3)[3:])
    known = {"ctf": style.OWN, "raw": style.OTHER, "spectral": "#e09f3e", "id": "#6c757d"}
    known[COMBINED] = "0.15"
    known |= {"cka": "#4a9d5f", "frechet": "#8172b3", "mmd": "#937860"}
    return {name: known.get(name) or next(others) for name in (*sets, COMBINED)}


def _parity(ax: plt.Axes, matrix: xr.Dataset, palette: str) -> None:
    """Draw predicted Dice against true Dice, as the density of cells of the Dice matrix."""
    levels = [axis for axis in matrix.axis.values if axis in AXES]
    axis = levels or list(matrix.axis.values)
    predicted = (
        matrix.predicted.sel(axis=axis, end="train").transpose("axis", "train", "test").values
    )
    true = np.broadcast_to(matrix.true.transpose("train", "test").values, predicted.shape)
    good = np.isfinite(predicted) & np.isfinite(true)
    shown = ax.hexbin(
        true[good],
        predicted[good],
        gridsize=40,
        extent=(0, 1, 0, 1),
        mincnt=1,
        bins="log",
        cmap=palette,
        linewidths=0.1,
    )
    ax.plot([0, 1], [0, 1], color="0.4", lw=0.8, ls="--")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="mean Dice", ylabel="predicted")
    bar = ax.figure.colorbar(
        shown, cax=ax.inset_axes((0.55, 0.16, 0.4, 0.04)), orientation="horizontal"
    )
    bar.set_label("pairs", fontsize=7, labelpad=0)
    bar.ax.tick_params(labelsize=6)


def _left_out(ax: plt.Axes, matrix: xr.Dataset, sets: Sequence[str], colours: dict) -> None:
    """Draw R² of each set of features, with a row for each axis and side that folds hold out."""
    whole = matrix.part.values[matrix.part_level.values == "all"]
    place, rows, best = 0.0, [], headline(matrix)
    for k, part in enumerate(whole):
        axis, end = (str(matrix[f"part_{n}"].sel(part=part).values) for n in ("axis", "end"))
        if k and end == "train":
            place += 0.5
        # The final prediction and the transfer functions are drawn last, so that they are visible.
        for name in (*reversed(sets), *([COMBINED] if best == COMBINED else [])):
            shown = matrix.sel(part=part)
            if name == COMBINED:
                shown = shown.sel(features=CTF, model=COMBINED)
            else:
                shown = shown.sel(features=name, model=STACKED)
            low, high = shown.r2_interval.values
            ax.plot([low, high], [place] * 2, color=colours[name], lw=1.4, solid_capstyle="butt")
            label = FEATURES.get(name, name) if k == 0 else None
            size = 4.6 if name in (CTF, COMBINED) else 3.2
            ax.plot(shown.r2, place, "o", ms=size, color=colours[name], label=label)
        same = (matrix.part_axis == axis) & (matrix.part_end == end) & (matrix.part_level != "all")
        single = matrix.r2.sel(features=CTF, model=best).values[same.values]
        colour = colours[COMBINED if best == COMBINED else CTF]
        ax.plot(single, np.full(len(single), place), "|", ms=6, mew=0.8, color=colour)
        words = AXES[axis].label if axis in AXES else "groups"
        rows.append((place, f"{words}, {end}" if end == "train" else end))
        place += 1
    ax.set_yticks([y for y, _ in rows], [words for _, words in rows], fontsize=7)
    ax.invert_yaxis()
    ax.axvline(0, color="0.7", lw=0.8, zorder=0)
    ax.grid(axis="y", color="0.93")
    ax.set(xlim=(-0.3, 1.0), xlabel="R² of held-out pairs")
    ax.tick_params(axis="y", length=0)


def smoothness(predicted: xr.Dataset, palette: str) -> Figure:
    """Return the figure of steps of Dice on the grid, and of Dice's correlation with metrics.

    Each Dice matrix has a column of panels. The upper panel shows the mean of |ΔM|, the step of
    mean Dice between neighbours on the grid, and the mean deviation of mean Dice from a straight
    line through two neighbours. Both quantities are shown between networks and between test
    conditions. Black ticks show the values that noise alone would cause. The lower panel shows
    Spearman's ρ of mean Dice and each metric, with the interval of ρ. Filled points are ρ over all
    pairs of different conditions. Open points are ρ within pairs of doses.
    """
    figure, axes, matrices = _columns(predicted, (2.5, 3.6))
    shades = sns.color_palette(palette, 4)
    bars = ("step", "train"), ("step", "test"), ("bend", "train"), ("bend", "test")
    words = {"step": "step", "bend": "off a line", "train": "networks", "test": "test conditions"}
    for (above, below), (name, matrix) in zip(axes.T, matrices.items(), strict=True):
        matrix = matrix.isel(along=np.flatnonzero(matrix.step.notnull().any("step_end").values))
        place = np.arange(matrix.sizes["along"])
        for k, ((value, end), colour) in enumerate(zip(bars, shades, strict=True)):
            x = place + 0.2 * (k - 1.5)
            height = matrix[value].sel(step_end=end).values
            label = f"{words[value]}, {words[end]}"
            above.bar(x, height, 0.18, color=colour, lw=0, label=label)
            noise = matrix[f"{value}_noise"].sel(step_end=end).values
            label = "noise alone" if k == 3 else None
            above.plot(x, noise, "_", color="black", ms=7, label=label)
        above.set_xticks(place, [AXES[str(a)].label for a in matrix.along.values])
        above.set(ylabel="mean change of Dice")
        above.set_title(name, loc="left", fontsize="small")
        whole = [weight for weight in matrix.weight.values if "/" not in weight]  # no bands
        for k, (weight, colour) in enumerate(zip(whole, (style.OWN, style.OTHER), strict=False)):
            weighted = matrix.sel(weight=weight)
            for n, (kind, face) in enumerate((("along_rho", colour), ("along_rho_dose", "white"))):
                y = np.arange(matrix.sizes["metric"]) + 0.4 * (k - 0.5) + 0.2 * (n - 0.5)
                low, high = weighted[f"{kind}_interval"].transpose("bound", "metric").values
                below.hlines(y, low, high, color=colour, lw=1)
                label = None if n else f"weight {weight}"
                below.plot(weighted[kind], y, "o", ms=3.2, color=colour, mfc=face, label=label)
        below.set_yticks(np.arange(matrix.sizes["metric"]), matrix.metric.values, fontsize=7)
        below.invert_yaxis()
        below.axvline(0, color="0.7", lw=0.8)
        below.set(xlim=(-1, 1), xlabel="Spearman's ρ with mean Dice")
    entries = [ax.get_legend_handles_labels() for ax in axes[:, 0]]
    handles, names = (
        [entry for panel in both for entry in panel] for both in zip(*entries, strict=True)
    )
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=7)
    return figure


def design(predicted: xr.Dataset, palette: str) -> Figure:
    """Return the figure of Dice of chosen sets of networks, and of errors of the completed matrix.

    Each Dice matrix has a column of panels. The two upper panels show the lowest and the mean Dice
    over test conditions, against the number of networks in the set. Under each test condition, the
    best network of the set is used. The shaded area contains the Dice of 90% of random sets. The
    lower panel shows the error of the estimated Dice of hidden networks or hidden cells, against
    the known share of the Dice matrix. The dotted line is the error if one more replica is used as
    the estimate. `palette` is not used, since the figure has the colours of the sets of features.
    """
    figure, axes, matrices = _columns(predicted, (1.8, 1.8, 1.8))
    lines = {
        "true": ("true Dice (oracle)", "0.3", "--"),
        "predicted": ("predicted Dice", style.OWN, "-"),
        "coverage": ("coverage", style.OTHER, "-"),
        "random": ("random", "0.6", "-"),
    }
    for column, (name, matrix) in zip(axes.T, matrices.items(), strict=True):
        sizes = matrix["size"].values
        for ax, worth in zip(column, ("worst", "mean"), strict=False):
            values = matrix.design.sel(worth=worth)
            low, high = (values.sel(strategy=f"random_{end}") for end in ("low", "high"))
            ax.fill_between(sizes, low, high, color="0.6", alpha=0.25, lw=0)
            for strategy, (label, colour, line) in lines.items():
                y = values.sel(strategy=strategy)
                ax.plot(sizes, y, line, color=colour, lw=1.3, label=label)
            ax.plot(sizes, values.sel(strategy="optimum"), "k*", ms=5, label="best set of all")
            ax.set(ylabel=f"{worth} Dice", xticks=sizes)
        column[0].set_title(name, loc="left", fontsize="small")
        column[1].set_xlabel("networks to choose from")
        ax, share = column[2], 100 * matrix.share.values
        random = matrix.completion.isel(choice=slice(None, -1)).transpose(
            "hidden", "share", "choice"
        )
        networks, cells = (random.sel(hidden=h).values for h in ("networks", "cells"))
        for values, colour, label in (
            (networks, "0.6", "networks at random"),
            (cells, style.OTHER, "cells at random"),
        ):
            ax.plot(share, values, "o", ms=2.5, color=colour)
            ax.plot(share, values.mean(1), color=colour, lw=1.3, label=label)
        apart = matrix.completion.sel(hidden="networks", choice="designed")
        ax.plot(share, apart, "o-", ms=3, color=style.OWN, lw=1.3, label="networks far apart")
        if np.isfinite(matrix.reach):
            ax.axhline(matrix.reach, color="black", lw=0.8, ls=":")
            ax.text(share[-1], matrix.reach, "another replica", ha="right", va="top", fontsize=7)
        ax.legend(fontsize=7, loc="upper right")
        ax.set(xlabel="known (%)", ylabel="error of the rest")
        ax.set_ylim(0, 1.1 * np.nanmax(random))
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize="small")
    return figure
