"""The figure of a shift of specimens."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.figure import Figure

from passband.analysis.specimen_shift import SHIFTS, explained
from passband.figures import style

#: Labels of the predictors of gaps. The label of a predictor that is not in this table is its name.
PREDICTORS = {
    "overlap": "overlap σ",
    "overlap_abs": "overlap σ of |T|",
    "coverage": "coverage κ",
    "frechet": "Fréchet",
    "mmd": "MMD",
    "cka": "CKA",
    "spectral": "power spectra",
}


def structure(
    ood: xr.Dataset, information: xr.Dataset, distances: xr.Dataset, palette: str
) -> Figure:
    """Return the figure of a specimen shift's effect on Dice, and of predictors of this effect.

    The left panel shows Dice with the same condition in training and test, for each training and
    test specimen. The middle panel shows Spearman's ρ of each predictor with the gap to the network
    that was trained on the test specimen and condition. The right panel shows the sources of the
    variance of the gaps. The values are explained at
    :func:`passband.analysis.specimen_shift.explained`.
    """
    style.set_theme()
    results = explained(ood, information, distances)
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(7.2, 2.9), width_ratios=(1.15, 1.2, 0.75), layout="constrained"
    )
    sns.heatmap(
        results.dice.values,
        ax=left,
        square=True,
        vmin=0,
        vmax=1,
        cmap=palette,
        annot=True,
        fmt=".2f",
        annot_kws={"size": "x-small"},
        xticklabels=results.test_specimen.values,
        yticklabels=results.specimen.values,
        cbar=False,
    )
    left.tick_params(labelsize="x-small", length=0)
    left.tick_params(axis="x", rotation=45)
    left.tick_params(axis="y", rotation=0)
    left.set_xlabel("tested on", fontsize="small")
    left.set_ylabel("trained on", fontsize="small")
    left.set_title("Dice, equal conditions", fontsize="small")

    shown = results.sel(predictor=results.rho.notnull().any("shift"))
    colours = sns.color_palette(palette, len(SHIFTS))
    rows = np.arange(shown.sizes["predictor"])
    for k, (shift, colour) in enumerate(zip(SHIFTS, colours, strict=True)):
        rho, y = shown.rho.sel(shift=shift).values, rows + 0.22 * (k - 1)
        low, high = shown.rho_interval.sel(shift=shift).values.T
        middle.hlines(y, low, high, color=colour, lw=1.2)
        middle.plot(rho, y, "o", ms=3.5, color=colour, label=SHIFTS[shift])
        # A predictor with the same value in all cells has no correlation.
        constant = np.isnan(rho)
        middle.plot(0 * y[constant], y[constant], "x", ms=4, color=colour)
    names = [PREDICTORS.get(str(name), str(name)) for name in shown.predictor.values]
    middle.set_yticks(rows, names, fontsize="x-small")
    middle.axvline(0, color="0.7", lw=0.8, zorder=0)
    middle.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.5, -0.5))
    middle.set_xlabel("ρ with the gap", fontsize="small")
    middle.tick_params(labelsize="x-small")
    middle.set_title("predictors (×: constant)", fontsize="small")

    bottom = np.zeros(len(SHIFTS))
    for source, colour in (("conditions", style.OWN), ("specimens", style.OTHER)):
        share = np.clip(np.nan_to_num(results.share.sel(source=source).values), 0, 1)
        right.bar(list(SHIFTS), share, bottom=bottom, color=colour, label=source, width=0.7)
        bottom += share
    right.set(ylim=(0, max(1, bottom.max())))
    right.set_ylabel("share of the gaps' variance", fontsize="small")
    right.tick_params(labelsize="x-small")
    right.set_title("variance between", fontsize="small", pad=19)
    right.legend(
        fontsize="x-small",
        loc="lower center",
        bbox_to_anchor=(0.5, 0.98),
        ncols=2,
        columnspacing=1,
        handlelength=1,
    )
    handles, labels = middle.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="small", loc="outside lower center", ncols=3)
    return figure
