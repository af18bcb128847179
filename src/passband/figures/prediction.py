"""The figure of Dice that is predicted with levels left out."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from passband.axes import AXES
from passband.figures import style
from passband.parts import figure
from passband.prediction.matrix.predicted_matrix import (
    ALL,
    CONDITIONS,
    LENS,
    LeftOutLevel,
    PredictedMatrix,
)

#: The panels of scores: what each shows.
_SCORES = {"r2": "R² of Dice", "interaction": "R² of the interaction"}
#: The marker and words for both predictions. Both can be seen where they coincide.
_PREDICTIONS = {
    "rival": (
        {"marker": "D", "color": style.PARAMETERS, "mfc": "white", "ms": 5.5, "mew": 1},
        "predicted from scaled parameters",
    ),
    "predictor": (
        {"marker": "o", "color": style.TRANSFER, "ms": 4, "mew": 0},
        "predicted from T(q)",
    ),
}
_ENDS = {"train": "training", "test": "tests"}
#: Lowest R² that is drawn in its place. Lower values are drawn as arrows at the edge.
_LOWEST_R2 = -0.5
#: Of a normal distribution, 90% is within so many standard deviations of its mean.
_Z90 = 1.645


@figure(
    inputs=("prediction",),
    place="prediction",
    caption=(
        "**Dice of levels left out.** a: Dice predicted from T(q) over measured Dice; each level "
        "of an axis but the dose is left out of training in turn. b, c: R² of Dice, and of the "
        "interaction of networks and tests at given doses, with levels of one axis left out. "
        "Dotted: what noise of replicas allows new networks (a: 90% of cells); unknown with one."
    ),
)
def prediction(predicted: Sequence[PredictedMatrix], width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of Dice that is predicted with levels left out.

    Each Dice matrix has a row of panels. The first shows predicted Dice over measured Dice, if each
    level of each axis but the dose is left out in turn, as training conditions. Between the dotted
    lines are 90% of the cells of a prediction that knew the true means over replicas. The others
    show R² of Dice, and of the interaction of networks and tests if it is defined, with a row for
    each axis and side; a line is at the R² of such a prediction.
    """
    narrow = style.is_narrow(width_cm)
    rows = [_rows(matrix) for matrix in predicted]
    scores_cm = [1.3 + 0.45 * len(of) for of in rows]
    heights = [6.5 + 2 * h if narrow else max(6.4, h) for h in scores_cm]
    figure = style.blank(width_cm, sum(heights) + (2.2 if narrow else 1.2))
    outer = figure.add_gridspec(len(predicted), 1, height_ratios=heights)
    every: list[Axes] = []
    for k, matrix in enumerate(predicted):
        shown = [name for name in _SCORES if matrix.has(f"level_{name}")]
        if narrow:
            ratios = [6.5, *[scores_cm[k]] * len(shown)]
            places = [*outer[k].subgridspec(1 + len(shown), 1, height_ratios=ratios)]
        else:
            ratios = [1.6, *[1.0] * len(shown)]
            places = [*outer[k].subgridspec(1, 1 + len(shown), width_ratios=ratios)]
        parity, *scores = (figure.add_subplot(place) for place in places)
        _parity(parity, matrix)
        parity.set_title(matrix.name.label, loc="left", fontsize=style.SMALL)
        for number, (ax, name) in enumerate(zip(scores, shown, strict=True)):
            _draw_scores(ax, matrix, rows[k], name, named=narrow or not number)
        every += [parity, *scores]
    style.letter(every)
    figure.legend(handles=_handles(predicted), loc="outside lower center", ncols=1 if narrow else 2)
    return figure


def _rows(matrix: PredictedMatrix) -> list[LeftOutLevel]:
    """Return the axes and sides with a row, whose levels were left out."""
    return [each for each in matrix.left_out if each.level == ALL and each.axis != LENS]


def _parity(ax: Axes, matrix: PredictedMatrix) -> None:
    """Draw predicted Dice over measured Dice, as the density of cells, with the ceiling's lines."""
    results = matrix.results
    every = [str(axis) for axis in results.axis.values]
    axes = [axis for axis in every if axis not in ("dose_e_per_A2", CONDITIONS)] or every
    guess = results.predicted.sel(axis=axes, end="train").transpose("axis", "train", "test").values
    true = np.broadcast_to(results.true.transpose("train", "test").values, guess.shape)
    good = np.isfinite(guess) & np.isfinite(true)
    ends = style.rounded_range(np.concatenate([true[good], guess[good]]))
    shown = ax.hexbin(
        true[good],
        guess[good],
        gridsize=40,
        extent=(*ends, *ends),
        mincnt=1,
        bins="log",
        cmap=style.PALETTE,
        linewidths=0.1,
    )
    ax.plot(ends, ends, color="0.4", lw=0.8, ls="--")
    reach = _Z90 * float(results.noise_of_mean)
    if np.isfinite(reach):
        for shift in (-reach, reach):
            ax.plot(ends, np.add(ends, shift), color=style.EVERYTHING, lw=0.9, ls=":")
    ax.set(xlim=ends, ylim=ends, aspect="equal", xlabel="measured Dice", ylabel="predicted Dice")
    for side in (ax.xaxis, ax.yaxis):
        side.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    bar = ax.figure.colorbar(shown, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label(f"predictions per hexagon (n = {good.sum():,})", fontsize=style.SMALL)
    bar.outline.set_visible(False)
    # The default labels are powers of 10, whose exponents are too small to read.
    bar.ax.yaxis.set_major_formatter(lambda value, _: style.number(value))
    bar.ax.yaxis.set_minor_formatter("")


def _draw_scores(
    ax: Axes, matrix: PredictedMatrix, rows: Sequence[LeftOutLevel], name: str, named: bool
) -> None:
    """Draw a score with a row for each axis and side, and its ceiling as a line."""
    low = 1.0
    for place, left_out in enumerate(rows):
        score = matrix.score(name, left_out)
        if np.isfinite(score.ceiling):
            ends = place - 0.5, place + 0.5
            ax.vlines(score.ceiling, *ends, color=style.EVERYTHING, lw=0.9, ls=":")
        for which, (marker, _) in _PREDICTIONS.items():
            value = getattr(score, which)
            if value < _LOWEST_R2:
                marker = marker | {"marker": 8}  # matplotlib's caret to the left
            value = max(value, _LOWEST_R2)
            low = min(low, value) if np.isfinite(value) else low
            ax.plot(value, place, ls="", **marker)
    ax.set_yticks(range(len(rows)), [_words(row) for row in rows] if named else [])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(axis="y", color="0.93")
    ax.set(xlim=(style.rounded_range([low])[0] - 0.03, 1.03), xlabel=_SCORES[name])
    ax.tick_params(axis="y", length=0)


def _words(left_out: LeftOutLevel) -> str:
    label = AXES[left_out.axis].label if left_out.axis in AXES else "groups"
    return f"{label}, {_ENDS[left_out.end]}"


def _handles(predicted: Sequence[PredictedMatrix]) -> list[plt.Line2D]:
    """Return the entries of the legend, which says if noise of replicas is not known."""
    handles = [
        plt.Line2D([], [], ls="", **marker, label=words)
        for marker, words in reversed(_PREDICTIONS.values())
    ]
    known = any(matrix.has("noise_of_mean") for matrix in predicted)
    words = "what noise of replicas allows" if known else "no noise of replicas: one replica each"
    line = ":" if known else ""
    return [*handles, plt.Line2D([], [], ls=line, color=style.EVERYTHING, lw=0.9, label=words)]
