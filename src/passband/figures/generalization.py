"""Figures of OOD metrics."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from passband.analysis.correlation import rank_correlation
from passband.axes import AXES, Axis
from passband.figures import style
from passband.figures.decay_by_distance import decay_by_distance
from passband.figures.nested_axes import text_cm
from passband.grid import are_scattered
from passband.matrices.matrix import Matrix
from passband.parts import figure
from passband.seeds import generator

#: Largest number of training values that are drawn in a panel of the figure of decay.
_MOST_TRAINED = 6
#: The scale of an axis is logarithmic if its largest value is this number times its smallest value.
_WIDE = 8
#: Number of draws of a bootstrap interval.
_DRAWS = 1000


@figure(
    inputs=("ood", "information"),
    place="prediction",
    caption=(
        "**Dice and the transfer functions.** a: rank correlation ρ of mean Dice with each metric "
        "of two transfer functions, over all pairs of different conditions, and over pairs of "
        "equal dose (open). It should be negative for Wiener errors only. Others: Dice of n pairs "
        "over the best metric. Pairs share conditions, so ρ has no interval."
    ),
)
def metrics(
    matrices: Sequence[Matrix],
    information: xr.Dataset,
    width_cm: float = style.PAGE_CM,
) -> Figure:
    """Return the figure of information metrics' rank correlations with Dice out of distribution.

    The first panel shows Spearman's ρ of every metric with Dice, with a marker for each weight of
    spatial frequencies. Filled points are ρ over all pairs of different conditions; open points are
    ρ over the pairs with the same dose. The other panels show, for each weight, Dice against the
    metric that has the largest |ρ| with this weight. The weight of a specimen applies only to
    networks that were trained on this specimen. Mixtures are left out.

    Args:
        matrices: All matrices of a study.
        information: Metrics of transfer functions of the same conditions, see
            :func:`passband.analysis.information.metrics`.
    """
    weights = [str(w) for w in information.weight.values if "/" not in w]  # bands are left out
    names = [name for name, v in information.data_vars.items() if {"train", "test"} <= {*v.dims}]
    words = {name: style.metric_words(name, information[name].attrs) for name in names}
    matrices = [matrix.of_conditions() for matrix in matrices]
    pairs = _pairs(matrices)
    pairs = pairs[pairs["train"] != pairs["test"]].dropna(subset="dice").reset_index(drop=True)
    shift = np.log10(pairs["test_dose_e_per_A2"] / pairs["train_dose_e_per_A2"])
    ends = (shift.min(), shift.max()) if len(shift) and np.ptp(shift) else (-1, 1)
    scale = plt.Normalize(*ends)
    first = matrices[0]
    information = information.sel(train=list(first.rows), test=list(first.columns))
    figure, ranks, panels, bar = _metric_panels(len(names), len(weights), width_cm)
    low = float(np.nanmin(pairs["dice"])) if len(pairs) else 0.0
    for number, (weight, ax) in enumerate(zip(weights, panels, strict=True)):
        weighted = information.sel(weight=weight).transpose("train", "test", ...)
        # A specimen's spectrum is no weight for networks that were trained on another specimen.
        own = pairs if weight == "flat" else pairs[pairs["specimen"] == weight]
        same = own.index[shift[own.index] == 0]
        values = {name: pd.Series(weighted[name].values[own.i, own.j], own.index) for name in names}
        every = {name: rank_correlation(x, own.dice) for name, x in values.items()}
        equal = {name: rank_correlation(x[same], own.dice[same]) for name, x in values.items()}
        y = np.arange(len(names)) + 0.6 * ((number + 0.5) / len(weights) - 0.5)
        for rho, face in ((every, style.TRANSFER), (equal, "white")):
            ranks.scatter(
                list(rho.values()),
                y,
                16,
                marker=style.MARKERS[number % len(style.MARKERS)],
                facecolor=face,
                edgecolor=style.TRANSFER,
                label=style.weight_words(weight),
            )
        best = max(names, key=lambda name: np.nan_to_num(abs(every[name])))
        points = ax.scatter(
            values[best].values,
            own["dice"].values,
            6,
            c=shift[own.index].values,
            norm=scale,
            cmap=style.shades(),
            lw=0,
            alpha=0.8,
            rasterized=len(own) > 5000,
        )
        unit = weighted[best].attrs.get("units", "1")
        said = [
            style.weight_words(weight),
            f"{_rho(every[best])} (n = {len(own):,})",
            f"equal dose: {_rho(equal[best])}",
            f"(n = {len(same):,})",
        ]
        if own.empty:
            said[1:] = ["no pairs of different conditions"]
            ax.set(xticks=[], yticks=[])
        ax.set_title("\n".join(said), fontsize=style.SMALL)
        label = words[best]
        ax.set(
            xlabel=label if unit == "1" else f"{label} [{unit}]",
            ylabel="mean Dice",
            ylim=(style.rounded_range([low])[0] - 0.03, 1.03),
        )
    style.name_rows(ranks, list(words.values()))
    ranks.set(xlim=(-1.04, 1.04), ylim=(len(names) - 0.4, -0.6), xticks=[-1, -0.5, 0, 0.5, 1])
    ranks.set_xlabel("Spearman's ρ with mean Dice")
    handles, labels = ranks.get_legend_handles_labels()
    open_ = plt.Line2D([], [], ls="", marker="o", mfc="white", mec=style.TRANSFER, ms=4)
    figure.legend(
        [*handles[::2], open_],
        [*labels[::2], "open: at equal dose"],
        loc="outside lower center",
        ncols=1 if style.is_narrow(width_cm) else 3,
        columnspacing=1,
        handletextpad=0.2,
    )
    style.letter([ranks, *panels])
    if len(pairs):
        _dose_bar(figure, bar, points, ends)
    else:
        bar.axis("off")
    return figure


def _rho(value: float) -> str:
    """Return a rank correlation as text."""
    return f"ρ = {style.number(value, 'z.2f')}" if np.isfinite(value) else "ρ undefined"


def _metric_panels(
    names: int, weights: int, width_cm: float
) -> tuple[Figure, Axes, list[Axes], Axes]:
    """Return the figure of metrics, its panel of ρ, its panels of Dice, and the colour bar's axes.

    In a wide figure, the panel of ρ is at the left of the other panels; otherwise it is above.
    """
    ranks_cm = 0.42 * names + 2.2
    if style.is_narrow(width_cm):
        heights = [ranks_cm, *[4.3] * weights, 1.1]
        first, last = (0, 0), (weights + 1, 0)
        places = [(1 + k, 0) for k in range(weights)]
        sizes = {"nrows": weights + 2, "ncols": 1}
    else:
        columns = min(weights, 2)
        rows = -(-weights // 2)
        heights = [max(5.0, (ranks_cm - 1.1) / rows)] * rows + [1.1]
        first, last = (slice(None), 0), (rows, slice(1, None))
        places = [(k // 2, 1 + k % 2) for k in range(weights)]
        sizes = {"nrows": rows + 1, "ncols": 1 + columns, "width_ratios": [1.3] + [1] * columns}
    figure = style.blank(width_cm, sum(heights))
    grid = figure.add_gridspec(height_ratios=heights, **sizes)
    ranks, *panels, bar = (figure.add_subplot(grid[place]) for place in (first, *places, last))
    return figure, ranks, panels, bar


def _dose_bar(figure: Figure, ax: Axes, points, ends: tuple[float, float]) -> None:
    """Draw the colour bar of the ratio of doses, whose colours have a logarithmic scale."""
    ax.axis("off")
    inside = ax.inset_axes((0.1, 0.45, 0.8, 0.2))
    inside.set_label("<colorbar>")
    bar = figure.colorbar(points, cax=inside, orientation="horizontal")
    ticks = np.unique([ends[0], np.clip(0, *ends), ends[1]])
    bar.set_ticks(ticks, labels=[f"{10.0**tick:.3g}" for tick in ticks])
    bar.set_label("dose in the test / dose in the training", fontsize=style.SMALL, labelpad=1)
    bar.outline.set_visible(False)
    bar.solids.set_alpha(1)


@figure(
    inputs=("ood",),
    place="results",
    caption=(
        "**Dice along each axis of the test grid.** A panel has the tests that differ from the "
        "training in one parameter; a line belongs to one training value. Large, filled: tested at "
        "the training value. Each point is a mean over n pairs of conditions, all test structures "
        "and replicas, and each band its 95% bootstrap interval (1000 draws)."
    ),
)
def decay(matrices: Sequence[Matrix], width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of Dice against each test parameter, with a line for each training value.

    Each panel has one imaging parameter, and uses the pairs of conditions in which all other
    parameters are equal in training and test. A parameter with one value has no panel, unless all
    parameters have one value. Lines are mean Dice over these pairs of conditions.
    Shaded areas are 95% bootstrap intervals of mean Dice. Filled markers are mean Dice in
    distribution. The scales of all axes start and end where the data start and end. If the
    conditions are points, the figure is that of
    :func:`passband.figures.decay_by_distance.decay_by_distance`. Mixtures are left out.

    Args:
        matrices: All matrices of a study.
    """
    matrices = [matrix.of_conditions() for matrix in matrices]
    if are_scattered(matrices[0].train):
        return decay_by_distance(matrices, width_cm)
    pairs = _pairs(matrices).dropna(subset="dice")
    names = matrices[0].axes.names
    varied = [n for n in names if pairs[[f"train_{n}", f"test_{n}"]].stack().nunique() > 1]
    drawn = varied or names
    columns = 2 if style.is_narrow(width_cm) else 4 if len(drawn) <= 4 else 3
    columns = min(len(drawn), columns)
    rows = -(-len(drawn) // columns)
    figure, axes = style.panels(rows, columns, width_cm, 6.6 * rows, sharey=True)
    for row in axes:
        row[0].set_ylabel("mean Dice")
    for ax in axes.flat[len(drawn) :]:
        ax.remove()
    for ax, name in zip(axes.flat, drawn, strict=False):
        axis = AXES[name]
        others = [other for other in names if other != name]
        # Labels are aligned at their baselines, since some units are higher than others.
        label = f"tested at {axis.title}"
        ax.set_xlabel(label, verticalalignment="baseline", labelpad=11)
        same = np.logical_and.reduce(
            [pairs[f"train_{o}"] == pairs[f"test_{o}"] for o in others] or [pairs.dice.notna()]
        )
        _decay_along(ax, axis, pairs[same], width_cm / columns - 1)
    style.letter(axes.flat[: len(drawn)])
    areas = [(ax, area) for ax in axes.flat for area in ax.collections if area.get_paths()]
    low = min((area.get_datalim(ax.transData).y0 for ax, area in areas), default=0.0)
    axes[0, 0].set_ylim(style.rounded_range([low])[0] - 0.02, 1.02)
    axes[0, 0].set_yticks([tick for tick in axes[0, 0].get_yticks() if low - 0.1 < tick < 1.01])
    return figure


def _decay_along(ax: Axes, axis: Axis, pairs: pd.DataFrame, panel_cm: float) -> None:
    """Draw mean Dice over the test values of an axis; the pairs differ in no other axis."""
    x = f"test_{axis.name}"
    hue = f"train_{axis.name}"
    shown = pairs[pairs[hue].isin(style.evenly_spaced(pairs[hue].unique(), _MOST_TRAINED))]
    if shown.empty:
        return
    trained = sorted(shown[hue].unique())
    colours = dict(zip(trained, style.levels(len(trained)), strict=True))
    for value, marker in zip(trained, style.MARKERS, strict=False):
        of = shown[shown[hue] == value]
        at, groups = zip(*of.groupby(x)["dice"], strict=True)
        low, high = np.transpose([_interval(group.to_numpy()) for group in groups])
        ax.fill_between(at, low, high, color=colours[value], alpha=0.2, lw=0)
        ax.plot(
            at,
            [group.mean() for group in groups],
            color=colours[value],
            lw=1.3,
            marker=marker,
            ms=4,
            mfc="white",
            mew=0.9,
            label=style.short(value),
        )
        own = of[of[x] == value]["dice"]
        if len(own):
            ax.plot(
                value,
                own.mean(),
                marker,
                ms=6,
                color=colours[value],
                mec="white",
                mew=0.6,
                zorder=4,
            )
    _scale(ax, np.unique(shown[x]), panel_cm)
    number = int(shown.groupby([x, hue]).size().max())
    unit = "" if axis.unit == "1" else f" [{axis.unit}]"
    ax.legend(
        title=f"trained at{unit}, n = {number}",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.27),
        ncols=2,
        columnspacing=1,
        handlelength=1.6,
    )


def _interval(values: np.ndarray) -> np.ndarray:
    """Return the 95% percentile bootstrap interval of the mean of values."""
    drawn = generator("figure of decay").integers(len(values), size=(_DRAWS, len(values)))
    return np.percentile(values[drawn].mean(1), [2.5, 97.5])


def _scale(ax: Axes, values: Sequence[float], panel_cm: float) -> None:
    """Set a scale on which neighbouring values of an axis are apart, and ticks at the values."""
    low, high = min(values), max(values)
    size = np.abs([value for value in values if value]).min(initial=np.inf)
    if low > 0 and high / low >= _WIDE:
        ax.set_xscale("log")
    elif np.isfinite(size) and max(abs(low), abs(high)) / size >= 2 * _WIDE:
        # Values on both sides of 0, or 0 itself: linear up to the smallest value, then logarithmic.
        ax.set_xscale("symlog", linthresh=size)
    transform = ax.xaxis.get_transform()
    place = transform.transform(np.array(values, float))
    margin = 0.06 * np.ptp(place) or 0.5
    ax.set_xlim(*transform.inverted().transform([place[0] - margin, place[-1] + margin]))
    # Both ends have a label. Other values have one if it does not touch its neighbours.
    half = [text_cm(style.short(value)) / 2 + 0.08 for value in values]
    at = (place - place[0]) / (np.ptp(place) or 1) * panel_cm
    ticks = [0]
    for k in range(1, len(values) - 1):
        free = at[k] - at[ticks[-1]] > half[k] + half[ticks[-1]]
        if free and at[-1] - at[k] > half[-1] + half[k]:
            ticks.append(k)
    ticks = dict.fromkeys([*ticks, len(values) - 1])
    ax.set_xticks([values[k] for k in ticks], [style.short(values[k]) for k in ticks])
    ax.xaxis.minorticks_off()


def _pairs(matrices: Sequence[Matrix]) -> pd.DataFrame:
    """Return a table of pairs of conditions, for networks tested on their training specimen.

    The columns `i` and `j` are the places of the training condition and of the test condition.
    """
    parts = []
    for matrix in matrices:
        if matrix.name.is_home:
            i, j = np.indices(matrix.dice.shape)
            parts.append(matrix.to_dataframe().assign(i=i.ravel(), j=j.ravel()))
    return pd.concat(parts, ignore_index=True)
