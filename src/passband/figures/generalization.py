"""Figures of OOD metrics."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.figure import Figure

from passband.analysis.correlation import rank_correlation
from passband.analysis.groups import group_label, groups
from passband.figures import style
from passband.grid import AXES


def matrix(ood: xr.Dataset, palette: str) -> Figure:
    """Return the figure of M(i, j) and of the gap to a network trained under the test condition.

    Each specimen, architecture and test specimen has a row of two panels: M(i, j) and the gap.
    """
    style.set_theme()
    matrices = {group_label(cells): cells for _, cells in groups(ood)}
    size = max(2.6, 0.16 * max(ood.sizes["train"], ood.sizes["test"]))
    size = min(size, 6)
    named = max(ood.sizes["train"], ood.sizes["test"]) <= 36
    figure, axes = plt.subplots(
        len(matrices),
        2,
        figsize=(2 * size + (4 if named else 2), len(matrices) * size + (2 if named else 0.6)),
        squeeze=False,
        layout="constrained",
    )
    columns = (
        ("dice", "mean Dice", {"cmap": palette, "vmin": 0, "vmax": 1}),
        (
            "gap_test",
            "gap to the test condition's own network",
            {"cmap": "vlag", "vmin": -1, "vmax": 1},
        ),
    )
    for row, (name, group) in zip(axes, matrices.items(), strict=True):
        for k, (ax, (variable, title, options)) in enumerate(zip(row, columns, strict=True)):
            sns.heatmap(
                group[variable].transpose("train", "test").values,
                ax=ax,
                square=True,
                **options,
                xticklabels=_names(group.test) if named else False,
                yticklabels=_names(group.train) if named and k == 0 else False,
                cbar_kws={"label": title, "shrink": 0.8},
            )
            ax.tick_params(labelsize=6, length=0)
            ax.set_facecolor("0.8")
            ax.set(xlabel="tested under", ylabel="trained under" if k == 0 else None)
        row[0].set_title(name, loc="left", fontsize="small")
    return figure


def _names(conditions: xr.DataArray) -> list[str]:
    """Return the labels of conditions for the axes of a figure."""
    return [style.condition_label(id) for id in conditions.values]


def metrics(ood: xr.Dataset, information: xr.Dataset, palette: str) -> Figure:
    """Return the figure of information metrics' rank correlations with Dice out of distribution.

    The upper panel shows Spearman's ρ of every metric with Dice, for each weight of spatial
    frequencies. Filled points are ρ over all pairs of different conditions; open points are ρ over
    the pairs with the same dose. The lower panels show, for each weight, Dice against the metric
    that has the largest |ρ| with this weight. The weight of a specimen applies only to networks
    that were trained on this specimen.
    """
    style.set_theme()
    weights = [str(w) for w in information.weight.values if "/" not in w]  # bands are left out
    names = [name for name, v in information.data_vars.items() if {"train", "test"} <= {*v.dims}]
    pairs = _pairs(ood)
    pairs = pairs[pairs["train"] != pairs["test"]].dropna(subset="dice").reset_index(drop=True)
    shift = pairs["test_dose_e_per_A2"] / pairs["train_dose_e_per_A2"]
    order = list(dict.fromkeys(f"{ratio:.3g}" for ratio in sorted(shift)))
    many = len(order) > 7
    hue = np.log10(shift) if many else shift.map("{:.3g}".format)
    information = information.sel(train=ood.train.values, test=ood.test.values)
    columns = min(len(weights), 2)
    heights = [0.17 * len(names) + 0.7] + [2.0] * -(-len(weights) // columns)
    figure = plt.figure(figsize=(4.4, sum(heights) + 0.5), layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    ranks = figure.add_subplot(grid[0, :])
    colours = sns.color_palette(palette, len(weights))
    for number, (weight, colour) in enumerate(zip(weights, colours, strict=True)):
        weighted = information.sel(weight=weight).transpose("train", "test", ...)
        # A specimen's spectrum is no weight for networks that were trained on another specimen.
        own = pairs if weight == "flat" else pairs[pairs["specimen"] == weight]
        same = own.index[shift[own.index] == 1]
        values = {name: pd.Series(weighted[name].values[own.i, own.j], own.index) for name in names}
        every = {name: rank_correlation(x, own.dice) for name, x in values.items()}
        equal = {name: rank_correlation(x[same], own.dice[same]) for name, x in values.items()}
        y = np.arange(len(names)) + 0.6 * ((number + 0.5) / len(weights) - 0.5)
        for rho, face in ((every, colour), (equal, "white")):
            ranks.scatter(list(rho.values()), y, 14, facecolor=face, edgecolor=colour, label=weight)
        best = max(names, key=lambda name: np.nan_to_num(abs(every[name])))
        ax = figure.add_subplot(grid[1 + number // columns, number % columns])
        if len(own):
            sns.scatterplot(
                x=values[best].values,
                y=own["dice"].values,
                ax=ax,
                s=9,
                alpha=0.7,
                lw=0,
                hue=hue[own.index].values,
                hue_order=None if many else order,
                hue_norm=(hue.min(), hue.max()) if many else None,
                palette=palette,
                legend=number == 0 and "auto",
                rasterized=len(own) > 5000,
            )
        unit = weighted[best].attrs.get("units", "1")
        ax.set_title(
            f"weight {weight}, ρ = {every[best]:.2f},\nρ at equal dose = {equal[best]:.2f}",
            fontsize="small",
        )
        ax.set(
            xlabel=best if unit == "1" else f"{best} ({unit})",
            ylabel="" if number % columns else "mean Dice",
            ylim=(-0.03, 1.03),
        )
        if legend := ax.get_legend():
            handles, labels = ax.get_legend_handles_labels()
            legend.remove()
            title = "log₁₀ of dose, test / train" if many else "dose, test / train"
            figure.legend(
                handles, labels, title=title, loc="outside lower center", ncols=7, fontsize="small"
            )
    ranks.axvline(0, color="0.7", lw=0.8, zorder=0)
    ranks.set_yticks(range(len(names)), names)
    ranks.invert_yaxis()
    ranks.set(
        xlim=(-1, 1),
        xticks=[-1, -0.5, 0, 0.5, 1],
        xlabel="Spearman's ρ with Dice (open: at equal dose)",
    )
    ranks.grid(axis="y", color="0.93")
    handles, labels = ranks.get_legend_handles_labels()
    ranks.legend(
        handles[::2],
        [f"weight {name}" for name in labels[::2]],
        fontsize="small",
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=3,
    )
    return figure


def decay(ood: xr.Dataset, palette: str) -> Figure:
    """Return the figure of Dice against each test parameter, with a line for each training value.

    Each panel has one imaging parameter, and uses the pairs of conditions in which all other three
    parameters are equal in training and test. Lines are mean Dice over these pairs of conditions.
    Shaded areas are 95% bootstrap intervals of mean Dice. Open circles are mean Dice in
    distribution.
    """
    style.set_theme()
    pairs = _pairs(ood).dropna(subset="dice")
    figure, axes = plt.subplots(1, len(AXES), figsize=(9.6, 2.5), sharey=True, layout="constrained")
    axes[0].set_ylabel("mean Dice")
    for ax, axis in zip(axes, AXES.values(), strict=True):
        x, hue = f"test_{axis.name}", f"train_{axis.name}"
        others = [other for other in AXES if other != axis.name]
        same = np.logical_and.reduce([pairs[f"train_{o}"] == pairs[f"test_{o}"] for o in others])
        shown = pairs[same & pairs[hue].isin(style.evenly_spaced(pairs[hue].unique(), 6))]
        ax.set(xlabel=f"test {axis.label} ({axis.unit})", ylim=(-0.03, 1.03))
        if shown.empty:
            continue
        trained = sorted(shown[hue].unique())
        colours = dict(zip(trained, sns.color_palette(palette, len(trained)), strict=True))
        sns.lineplot(
            shown,
            x=x,
            y="dice",
            hue=hue,
            ax=ax,
            palette=colours,
            errorbar=("ci", 95),
            seed=0,
            lw=1.4,
            err_kws={"lw": 0, "alpha": 0.2},
        )
        own = shown[shown[x] == shown[hue]].groupby(hue)["dice"].mean()
        edges = [colours[value] for value in own.index]
        ax.scatter(own.index, own, s=34, facecolor="white", edgecolor=edges, zorder=3)
        values = np.unique(shown[x])
        if values.min() > 0 and values.max() / values.min() >= 8:
            ax.set_xscale("log")
        ticks = style.evenly_spaced(values)
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.xaxis.minorticks_off()
        handles, names = ax.get_legend_handles_labels()
        ax.legend(
            handles,
            [f"{float(name):g}" for name in names],
            title=f"trained at ({axis.unit})",
            fontsize="x-small",
            title_fontsize="x-small",
        )
    return figure


def _pairs(ood: xr.Dataset) -> pd.DataFrame:
    """Return a table of pairs of conditions, for networks tested on their training specimen."""
    own = pd.concat(
        _frame(group)
        for _, group in groups(ood)
        if str(group.specimen.values) == str(group.test_specimen.values)
    )
    return own.reset_index(drop=True)


def _frame(group: xr.Dataset) -> pd.DataFrame:
    dice = group.dice.transpose("train", "test")
    i, j = np.indices(dice.shape).reshape(2, -1)
    columns = {"specimen": str(group.specimen.values), "i": i, "j": j, "dice": dice.values.ravel()}
    for dimension, index in (("train", i), ("test", j)):
        columns[dimension] = group[dimension].values[index]
        for axis in AXES:
            name = f"{dimension}_{axis}"
            columns[name] = group[name].values[index]
    return pd.DataFrame(columns)
