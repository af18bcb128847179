"""The figure of decay for conditions that are points: Dice against the distance of conditions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from passband.figures import style
from passband.matrices.matrix import Matrix
from passband.seeds import generator

#: Number of groups of pairs with similar distances.
_BINS = 8
#: Number of bootstrap samples of conditions.
_DRAWS = 500


def decay_by_distance(matrices: Sequence[Matrix], width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of Dice and of its loss against the distance of two conditions.

    Each matrix whose networks are tested on their training specimen has a row. The left panel shows
    mean Dice, and the right panel shows the loss against the network trained there. Small dots are
    pairs of different conditions. Lines are means over an eighth of the pairs each, which have
    similar distances. Shaded areas are 95% bootstrap intervals of these means over training
    conditions. The horizontal line in the left panel is the mean Dice in distribution.

    Args:
        matrices: Matrices with OOD metrics, and without mixtures.
    """
    shown = [matrix for matrix in matrices if matrix.name.is_home]
    figure, axes = style.panels(len(shown), 2, width_cm, 1.2 + 5.2 * len(shown), sharex=True)
    for (left, right), matrix in zip(axes, shown, strict=True):
        left.set_title(matrix.label, loc="left", fontsize=style.SMALL)
        distance = matrix.metrics.distance.transpose("train", "test").values
        other = np.not_equal.outer(matrix.rows, matrix.columns)
        for ax, values in ((left, matrix.dice.values), (right, matrix.loss.values)):
            _draw(ax, distance, np.where(other, values, np.nan))
        home = float(matrix.metrics.id.mean())
        if np.isfinite(home):
            left.axhline(home, color=style.TRANSFER, lw=0.9, ls="--", label="in distribution")
        right.axhline(0, color="0.7", lw=0.8, zorder=0)
        left.set_ylabel("mean Dice")
        right.set_ylabel(style.LOSS, fontsize=style.SMALL)
    for ax in axes[-1]:
        ax.set_xlabel("distance of conditions")
    columns = 2 if style.is_narrow(width_cm) else 4
    handles = axes[0, 0].get_legend_handles_labels()
    style.letter(axes.flat)
    figure.legend(*handles, loc="outside lower center", ncols=columns)
    return figure


def _draw(ax: Axes, distance: np.ndarray, values: np.ndarray) -> None:
    """Draw values (train, test) against distances. NaN is left out."""
    row, column = np.nonzero(np.isfinite(values) & np.isfinite(distance))
    x = distance[row, column]
    y = values[row, column]
    if not len(x):
        return
    ax.plot(
        *(x, y, "."),
        ms=2.5,
        color=style.NEUTRAL,
        alpha=float(np.clip(400 / len(x), 0.08, 0.6)),
        mew=0,
        label="a pair of conditions",
        rasterized=True,
    )
    bins = np.array_split(np.argsort(x, kind="stable"), min(_BINS, len(x)))
    centres = [x[bin].mean() for bin in bins]
    low, high = np.transpose([_interval(y[bin], row[bin], len(values)) for bin in bins])
    ax.fill_between(centres, low, high, color=style.EVERYTHING, alpha=0.25, lw=0)
    means = [y[bin].mean() for bin in bins]
    ax.plot(
        *(centres, means),
        color=style.EVERYTHING,
        lw=1.3,
        marker="o",
        ms=4,
        mfc="white",
        label=f"mean of {len(bins[0])} pairs" if len(x) > 1 else "mean",
    )


def _interval(y: np.ndarray, row: np.ndarray, rows: int) -> Sequence[float]:
    """Return the 95% bootstrap interval of a mean of pairs; training conditions are resampled."""
    drawn = generator("figure of decay").integers(rows, size=(_DRAWS, rows))
    weight = np.stack([np.bincount(each, minlength=rows) for each in drawn])[:, row]
    number = weight.sum(1)
    means = (weight @ y)[number > 0] / number[number > 0]
    return np.percentile(means, [2.5, 97.5])
