"""The figure of a shift of specimens."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from passband.analysis.specimen_shift import SHIFTS, explained
from passband.figures import style
from passband.matrices.matrix import Matrix
from passband.parts import figure

#: Colour and marker of each kind of shift: of the lens, of the specimen, and of both.
_SHIFTS = {
    "lens": (style.PARAMETERS, "o"),
    "structure": (style.SPECIMENS, "s"),
    "both": (style.EVERYTHING, "^"),
}


@figure(
    inputs=("ood", "information"),
    place="results",
    on_request=True,
    version=2,
    caption=(
        "**Networks on another specimen.** a: mean Dice at equal conditions. b: rank correlation "
        "of the loss against the network trained there with metrics and distances, with 95% "
        "bootstrap intervals over pairs of specimens; ×: constant. c: shares of the loss's "
        "variance; a function of two transfer functions explains that between conditions at most."
    ),
)
def structure(
    matrices: Sequence[Matrix],
    information: xr.Dataset,
    width_cm: float = style.PAGE_CM,
) -> Figure:
    """Return the figure of a specimen shift's effect on Dice, and of predictors of this effect.

    The first panel shows Dice with the same condition in training and test, for each training and
    test specimen. The second panel shows Spearman's ρ of each predictor with the gap to the network
    that was trained on the test specimen and condition. A cross marks a predictor that has the same
    value in all cells. The third panel shows the sources of the variance of the gaps. The values
    and the arguments are explained at :func:`passband.analysis.specimen_shift.explained`.
    """
    results = explained(matrices, information)
    shown = results.sel(predictor=results.rho.notnull().any("shift"))
    rows = shown.sizes["predictor"]
    narrow = style.is_narrow(width_cm)
    ranks_cm = 0.5 * rows + 1.6
    if narrow:
        ratios = {"height_ratios": [7, ranks_cm, 5]}
        height_cm = 7 + ranks_cm + 5 + 1.8
    else:
        ratios = {"width_ratios": [1.2, 1.2, 0.75]}
        height_cm = max(ranks_cm, 6) + 1
    shape = (3, 1) if narrow else (1, 3)
    figure, axes = style.panels(*shape, width_cm, height_cm, **ratios)
    left, middle, right = axes.flat
    _dice(left, results)
    _predictors(middle, shown)
    _shares(right, results)
    style.letter(axes.flat, (16, 4, 26))  # above a title and a legend
    figure.legend(
        *middle.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=1 if narrow else 3,
        columnspacing=1,
        handletextpad=0.2,
    )
    return figure


def _dice(ax: Axes, results: xr.Dataset) -> None:
    """Draw Dice for each training specimen (rows) and test specimen (columns)."""
    low, high = style.rounded_range(results.dice.values)
    sns.heatmap(
        results.dice.values,
        ax=ax,
        square=True,
        vmin=low,
        vmax=high,
        cmap=style.PALETTE,
        annot=True,
        fmt=".2f",
        annot_kws={"size": style.SMALL},
        xticklabels=results.test_specimen.values,
        yticklabels=results.specimen.values,
        cbar=False,
    )
    ax.tick_params(length=0)
    ax.tick_params(axis="x", rotation=45)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="tested on", ylabel="trained on")
    ax.set_title("mean Dice, equal conditions", fontsize=style.SMALL)


def _predictors(ax: Axes, shown: xr.Dataset) -> None:
    """Draw Spearman's ρ of each predictor with the gap, for each kind of shift."""
    rows = np.arange(shown.sizes["predictor"])
    for k, (shift, (colour, marker)) in enumerate(_SHIFTS.items()):
        rho = shown.rho.sel(shift=shift).values
        y = rows + 0.24 * (k - 1)
        low, high = shown.rho_interval.sel(shift=shift).values.T
        ax.hlines(y, low, high, color=colour, lw=1.2)
        ax.plot(rho, y, marker, ms=3.5, color=colour, label=SHIFTS[shift])
        # A predictor with the same value in all cells has no correlation.
        constant = np.isnan(rho)
        ax.plot(0 * y[constant], y[constant], "x", ms=4, color=colour)
    style.name_rows(ax, [style.metric_words(str(name)) for name in shown.predictor.values])
    ax.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.5, -0.5), xlabel="Spearman's ρ with the loss")
    ax.set_title("predictors (×: constant)", fontsize=style.SMALL)


def _shares(ax: Axes, results: xr.Dataset) -> None:
    """Draw the shares of the gaps' variance between conditions and between specimens."""
    bottom = np.zeros(len(SHIFTS))
    for source, colour, hatch in (
        ("conditions", style.PARAMETERS, ""),
        ("specimens", style.SPECIMENS, "///"),
    ):
        share = np.clip(np.nan_to_num(results.share.sel(source=source).values), 0, 1)
        ax.bar(
            ["lens", "specimen", "both"],
            share,
            bottom=bottom,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            lw=0,
            label=source,
            width=0.7,
        )
        bottom += share
    ax.tick_params(axis="x", rotation=45)
    ax.set(ylim=(0, max(1, bottom.max())), xlabel="shift", ylabel="share of variance")
    ax.legend(
        title="between",
        loc="lower center",
        bbox_to_anchor=(0.45, 0.98),
        ncols=2,
        columnspacing=0.8,
        handlelength=1,
        handletextpad=0.3,
    )
