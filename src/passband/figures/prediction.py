"""Figures of the prediction of Dice."""

import textwrap
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from passband.axes import AXES
from passband.figures import style
from passband.prediction.matrix.cross_validation import CTF
from passband.prediction.matrix.matrices import predicted_matrices
from passband.prediction.matrix.models import COMBINED, STACKED
from passband.prediction.matrix.prediction import ALL, headline

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
_COLOURS = {
    "ctf": style.TRANSFER,
    "raw": style.PARAMETERS,
    "spectral": style.FEATURES,
    "id": style.NEUTRAL,
    "cka": style.FEATURES,
    "frechet": style.FEATURES,
    "mmd": style.FEATURES,
    COMBINED: style.EVERYTHING,
}
#: Which half of a marker is filled for the side that folds hold out, and the words for it.
_SIDES = {
    "train": ("left", "as training conditions"),
    "test": ("right", "as test conditions"),
    "both": ("full", "as both"),
}
#: Lowest R² that is drawn in its place. Lower values are drawn as arrows at the edge.
_LOWEST_R2 = -1.0
#: Number of axes in a row of the legend of shapes.
_SHAPES_IN_ROW = 3
#: Largest number of levels of an axis that are drawn.
_MOST_LEVELS = 8


def prediction(predicted: xr.Dataset, palette: str, width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of predictions of held-out cells, with three panels for each Dice matrix.

    The first panel shows predicted Dice against true Dice. Whole levels of an axis are held out in
    training, and all axes are shown together. The second panel shows R² of the same predictions for
    each level of each axis that is held out: as training conditions, as test conditions, and as
    both. Lines are bootstrap intervals of R² over all levels of an axis. If an axis has many
    levels, only some of them are drawn, at even intervals. The third panel compares the sets of
    features, each with the stack of models, if whole levels are held out as both. If the Gaussian
    process on profiles was evaluated, the third panel also shows R² of the combined prediction,
    which the other panels show too.

    Args:
        palette: A colour map of matplotlib or seaborn, for the number of pairs.
    """
    sets = [name for name in _in_order(predicted.features.values) if name != "mean"]
    levels = sum(1 + len(of) for of in _levels(predicted).values())
    rows = len(sets) + (COMBINED in predicted.model.values)
    narrow = style.is_narrow(width_cm)
    shapes_cm = 0.4 * (1 + -(-len(_axes(predicted)) // _SHAPES_IN_ROW))
    upper, left, right = 6.2, 0.75 * rows + 1 + shapes_cm, 0.42 * levels + 1.2
    heights = [upper, right, left] if narrow else [upper, max(left, right - upper)]
    figure, parts = blocks(predicted, heights, 1 if narrow else 2, width_cm, 1.5 if narrow else 0.8)
    every: list[Axes] = []
    for grid, name, matrix in parts:
        places = (grid[0], grid[1], grid[2]) if narrow else (grid[0, 0], grid[:, 1], grid[1, 0])
        parity, single, compared = (figure.add_subplot(place) for place in places)
        _parity(parity, matrix, palette)
        parity.set_title(name, loc="left", fontsize=style.SMALL)
        _each_level(single, matrix)
        _compared(compared, matrix, sets)
        every += [parity, single, compared]
    style.letter(every)
    handles = [
        plt.Line2D(
            [], [], ls="", marker="o", color="0.2", fillstyle=fill, label=f"held out {words}"
        )
        for fill, words in _SIDES.values()
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=1 if narrow else 3,
        columnspacing=1,
        handletextpad=0.2,
    )
    return figure


def blocks(
    predicted: xr.Dataset,
    heights: Sequence[float],
    columns: int,
    width_cm: float,
    legend_cm: float,
) -> tuple[Figure, list]:
    """Return a figure with a block of panels for each Dice matrix.

    Dice matrices that were too small for predictions are left out.

    Returns:
        The grid of panels, the name and the predictions of each matrix, (GridSpecFromSubplotSpec,
        str, Dataset).
    """
    matrices = predicted_matrices(predicted)
    figure = style.blank(width_cm, sum(heights) * len(matrices) + legend_cm)
    outer = figure.add_gridspec(len(matrices), 1)
    return figure, [
        (outer[k].subgridspec(len(heights), columns, height_ratios=heights), name, matrix)
        for k, (name, matrix) in enumerate(matrices.items())
    ]


def _in_order(names: Iterable) -> list[str]:
    names = [str(name) for name in names]
    return [*(n for n in FEATURES if n in names), *(n for n in names if n not in FEATURES)]


def _axes(predicted: xr.Dataset) -> list[str]:
    """Return the axes that folds hold out."""
    return list(dict.fromkeys(map(str, predicted.part_axis.values)))


def _levels(predicted: xr.Dataset) -> dict[str, list[str]]:
    """Return the single levels of each axis that are drawn, in the order of their values."""
    found = {}
    for axis in _axes(predicted):
        names = set(map(str, predicted.part_level.values[predicted.part_axis.values == axis]))
        found[axis] = style.evenly_spaced(sorted(names - {ALL}, key=float), _MOST_LEVELS)
        found[axis].sort(key=float)
    return found


def _markers(predicted: xr.Dataset) -> dict[str, str]:
    return dict(zip(_axes(predicted), style.MARKERS, strict=False))


def _axis_words(axis: str) -> str:
    return AXES[axis].label if axis in AXES else "groups of conditions"


def _parity(ax: Axes, matrix: xr.Dataset, palette: str) -> None:
    """Draw predicted Dice against true Dice, as the density of cells of the Dice matrix."""
    levels = [axis for axis in matrix.axis.values if axis in AXES]
    axis = levels or list(matrix.axis.values)
    predicted = (
        matrix.predicted.sel(axis=axis, end="train").transpose("axis", "train", "test").values
    )
    true = np.broadcast_to(matrix.true.transpose("train", "test").values, predicted.shape)
    good = np.isfinite(predicted) & np.isfinite(true)
    ends = style.rounded_range(np.concatenate([true[good], predicted[good]]))
    shown = ax.hexbin(
        true[good],
        predicted[good],
        gridsize=40,
        extent=(*ends, *ends),
        mincnt=1,
        bins="log",
        cmap=palette,
        linewidths=0.1,
    )
    ax.plot(ends, ends, color="0.4", lw=0.8, ls="--")
    ax.set(xlim=ends, ylim=ends, aspect="equal", xlabel="mean Dice", ylabel="predicted Dice")
    for side in (ax.xaxis, ax.yaxis):
        side.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    bar = ax.figure.colorbar(shown, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label(f"predictions per hexagon (n = {good.sum():,})", fontsize=style.SMALL)
    bar.outline.set_visible(False)
    # The default labels are powers of 10, whose exponents are too small to read.
    bar.ax.yaxis.set_major_formatter(lambda value, _: style.number(value))
    bar.ax.yaxis.set_minor_formatter("")


def _draw_r2(ax: Axes, r2, interval, y: float, **options) -> None:
    """Draw R² with its interval. A value below the axis is an arrow at its edge."""
    low, high = np.clip(interval, _LOWEST_R2, None)
    colour = options["color"]
    if high > _LOWEST_R2:
        ax.plot([low, high], [y, y], color=colour, lw=1, solid_capstyle="butt", zorder=1)
    if r2 < _LOWEST_R2:
        options |= {"marker": 8, "fillstyle": "full"}  # matplotlib's caret to the left
    ax.plot(max(r2, _LOWEST_R2), y, ls="", mec=colour, mew=0.8, mfcalt="white", **options)


def _each_level(ax: Axes, matrix: xr.Dataset) -> None:
    """Draw R² of the final prediction with a row for each held-out level of each axis."""
    best, place, rows = headline(matrix), 0.0, []
    colour, markers = _COLOURS[COMBINED if best == COMBINED else CTF], _markers(matrix)
    scores = matrix.sel(features=CTF, model=best)
    for axis, levels in _levels(matrix).items():
        for level in (ALL, *levels):
            words = _axis_words(axis) if level == ALL else _level_words(axis, level)
            rows.append((place, words, level == ALL))
            for number, (side, (fill, _)) in enumerate(_SIDES.items()):
                part = f"{axis}/{side}/{level}"
                if part not in scores.part.values:
                    continue
                one = scores.sel(part=part)
                _draw_r2(
                    ax,
                    float(one.r2),
                    one.r2_interval.values if level == ALL else (np.nan, np.nan),
                    place + 0.24 * (number - 1),
                    marker=markers[axis],
                    color=colour,
                    fillstyle=fill,
                    ms=5 if level == ALL else 4,
                )
            place += 1
        place += 0.4
    ax.set_yticks([y for y, *_ in rows], [words for _, words, _ in rows])
    for label, (*_, whole) in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if whole else "normal")
    ax.set_title("each level held out", loc="left", fontsize=style.SMALL)
    _finish(ax, place - 0.4, "R² of the final prediction")


def _level_words(axis: str, level: str) -> str:
    if axis not in AXES:
        return f"group {int(float(level)) + 1}"
    return AXES[axis].words(style.short(float(level)))


def _compared(ax: Axes, matrix: xr.Dataset, sets: Sequence[str]) -> None:
    """Draw R² of each set of features, with a marker for each axis that folds hold out."""
    best, markers = headline(matrix), _markers(matrix)
    # Some sides may be missing, if only a part of the folds was evaluated.
    side = [side for side in _SIDES if side in matrix.part_end.values][-1]
    names = [*([COMBINED] if best == COMBINED else []), *sets]
    for row, name in enumerate(names):
        features, model = (CTF, COMBINED) if name == COMBINED else (name, STACKED)
        scores = matrix.sel(features=features, model=model)
        for number, (axis, marker) in enumerate(markers.items()):
            one = scores.sel(part=f"{axis}/{side}/{ALL}")
            _draw_r2(
                ax,
                float(one.r2),
                one.r2_interval.values,
                row + 0.7 * ((number + 0.5) / len(markers) - 0.5),
                marker=marker,
                color=_COLOURS.get(name, style.SPECIMENS),
                ms=4,
            )
    ax.set_yticks(
        range(len(names)), [textwrap.fill(FEATURES.get(name, name), 20) for name in names]
    )
    ax.legend(
        handles=[
            plt.Line2D(
                [], [], ls="", marker=marker, color="0.2", label=_axis_words(axis).split()[0]
            )
            for axis, marker in markers.items()
        ],
        title="sets of features",
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(-0.05, 0.98),
        ncols=_SHAPES_IN_ROW,
        columnspacing=1,
        handletextpad=0.1,
    )
    _finish(ax, len(names), f"R² of levels held out {_SIDES[side][1]}")


def _finish(ax: Axes, rows: float, label: str) -> None:
    ax.set_ylim(rows - 0.4, -0.6)
    ax.grid(axis="y", color="0.93")
    low = max(ax.dataLim.x0, _LOWEST_R2)
    ax.axvline(0, color="0.7", lw=0.8, zorder=0)
    ax.set(xlim=(style.rounded_range([low])[0] - 0.03, 1.03), xlabel=label)
    ax.tick_params(axis="y", length=0)


def design(predicted: xr.Dataset, palette: str, width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of Dice of chosen sets of networks, and of errors of the completed matrix.

    Each Dice matrix has three panels. The first two panels show the lowest and the mean Dice over
    test conditions, against the number of networks in the set. Under each test condition, the best
    network of the set is used. The shaded area contains the Dice of 90% of random sets. The third
    panel shows the error of the estimated Dice of hidden networks or hidden cells, against the
    known share of the Dice matrix. The dotted line is the error if one more replica is used as the
    estimate.

    Args:
        palette: Not used, since the figure has no scale of colours.
    """
    narrow = style.is_narrow(width_cm)
    heights = [4.4] * 3 if narrow else [5.2]
    figure, parts = blocks(predicted, heights, 1 if narrow else 3, width_cm, 4 if narrow else 1.7)
    every: list[Axes] = []
    for grid, name, matrix in parts:
        worst, mean, error = (figure.add_subplot(grid[k]) for k in range(3))
        worst.set_title(name, loc="left", fontsize=style.SMALL)
        _choices(worst, matrix, "worst")
        _choices(mean, matrix, "mean")
        _errors(error, matrix)
        every += [worst, mean, error]
    style.letter(every)
    # Both panels of choices have the same entries, which are listed once.
    entries = [ax.get_legend_handles_labels() for ax in (mean, error)]
    handles, names = (entries[0][k] + entries[1][k] for k in range(2))
    figure.legend(handles, names, loc="outside lower center", ncols=1 if narrow else 3)
    return figure


def _choices(ax: Axes, matrix: xr.Dataset, worth: str) -> None:
    """Draw Dice of the best network of a chosen set, over the number of networks in the set."""
    lines = {
        "true": ("chosen by true Dice (upper bound)", style.EVERYTHING, "--", ""),
        "predicted": ("chosen by predicted Dice", style.TRANSFER, "-", "o"),
        "coverage": ("chosen by coverage", style.PARAMETERS, "-", "s"),
        "random": ("chosen at random (area: 90%)", style.NEUTRAL, ":", ""),
    }
    sizes, values = matrix["size"].values, matrix.design.sel(worth=worth)
    low, high = (values.sel(strategy=f"random_{end}") for end in ("low", "high"))
    ax.fill_between(sizes, low, high, color=style.NEUTRAL, alpha=0.2, lw=0)
    for strategy, (label, colour, line, marker) in lines.items():
        y = values.sel(strategy=strategy)
        ax.plot(sizes, y, ls=line, marker=marker, ms=3.5, color=colour, lw=1.3, label=label)
    best = values.sel(strategy="optimum")
    ax.plot(sizes, best, "*", color=style.EVERYTHING, ms=6, label="best set of all")
    ax.set(xlabel="networks to choose from", ylabel=f"{worth} Dice", xticks=sizes)


def _errors(ax: Axes, matrix: xr.Dataset) -> None:
    """Draw the error of Dice that is filled in, over the share of Dice that is known."""
    share = 100 * matrix.share.values
    random = matrix.completion.isel(choice=slice(None, -1)).transpose("hidden", "share", "choice")
    for hidden, label, line, marker, face in (
        ("networks", "known: networks at random", "-", "o", style.NEUTRAL),
        ("cells", "known: cells at random", "--", "D", "white"),
    ):
        values, colour = random.sel(hidden=hidden).values, style.NEUTRAL
        ax.plot(share, values, ls="", marker=marker, ms=3, mec=colour, mfc=face)
        ax.plot(share, values.mean(1), ls=line, color=colour, lw=1.3, zorder=1)
        ax.plot([], [], ls=line, marker=marker, ms=3, color=colour, mfc=face, label=label)
    apart = matrix.completion.sel(hidden="networks", choice="designed")
    ax.plot(
        share,
        apart,
        "s-",
        ms=3.5,
        color=style.PARAMETERS,
        lw=1.3,
        label="known: networks far apart",
    )
    if np.isfinite(matrix.reach):
        ax.axhline(
            matrix.reach, color=style.EVERYTHING, lw=0.9, ls=":", label="error of another replica"
        )
    ax.set(xlabel="known Dice values [%]", ylabel="error of the rest", xticks=share)
    ax.set_ylim(0, 1.1 * np.nanmax(random))
