"""Figures of a study. Every function returns a matplotlib figure and reads nothing from disk."""

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.stats import spearmanr

from passband import ctf, store, units
from passband.config import Microscope
from passband.grid import AXES, Condition
from passband.structure import SHIFTS, explained

#: Colours that do not depend on the palette: training condition, other conditions, truth.
OWN, OTHER, TRUTH = "#2a6f97", "#d1495b", "#f4d35e"

#: Lines around particles by the face of the substrate that they lie on.
OUTLINES = {"on top": "solid", "at the bottom": "dashed"}

#: Most panels along one side of a figure.
MOST = 4


def save(figure: Figure, paths: Iterable[str | Path], dpi: int) -> None:
    """Write a figure to each path, whole or not at all; the suffix chooses the format."""
    try:
        for path in paths:
            with store.replacing(path) as beside:
                figure.savefig(beside, dpi=dpi, bbox_inches="tight")
    finally:
        plt.close(figure)


def _theme() -> None:
    sns.set_theme(
        "paper",
        "ticks",
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.fonttype": "none",
            "legend.frameon": False,
        },
    )


def _spread(values: Sequence, most: int = MOST) -> list:
    """Return at most `most` of sorted values, evenly spread, ends included."""
    values = sorted(values)
    if len(values) <= most:
        return values
    return [values[k] for k in np.linspace(0, len(values) - 1, most).round().astype(int)]


def label(id: str) -> str:
    """Return a condition's name for a reader: ``20 nm · 1.2 µm · 18 mrad · 400 e/Å²``."""
    condition = Condition.parse(id)
    return " · ".join(f"{getattr(condition, a.name):g} {a.unit}" for a in AXES.values())


def ctf_curves(conditions: Sequence[Condition], microscope: Microscope, palette: str) -> Figure:
    """Return transfer and envelope over spatial frequency, a panel per defocus and Cs.

    Of more than four values of defocus or Cs, four are shown. Every panel has the widest aperture;
    the narrower ones are lines where they would cut. Of a lens that is not round, azimuth 0 is
    shown and said.
    """
    _theme()
    by = {axis: sorted({getattr(c, axis) for c in conditions}) for axis in AXES}
    defoci, spherical = _spread(by["defocus_nm"]), _spread(by["cs_um"])
    figure, axes = plt.subplots(
        len(spherical),
        len(defoci),
        figsize=(2.6 * len(defoci), 1.7 * len(spherical) + 0.5),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    q = np.linspace(0, microscope.sampling.cutoff, 1500)
    lam = ctf.wavelength(units.energy(microscope))
    colour, edge, cut = sns.color_palette(palette, 3)
    for row, cs in zip(axes, spherical, strict=True):
        for ax, defocus in zip(row, defoci, strict=True):
            optics = units.optics(
                Condition(defocus, cs, by["aperture_mrad"][-1], by["dose_e_per_A2"][0]), microscope
            )
            envelope = ctf.envelope(optics, q)
            ax.fill_between(q, -envelope, envelope, color=edge, alpha=0.15, lw=0)
            ax.plot(q, envelope, color=edge, lw=0.8, label="envelope")
            ax.plot(q, ctf.transfer(optics, q), color=colour, lw=0.9, label="transfer")
            for k, aperture in enumerate(by["aperture_mrad"][:-1]):
                ax.axvline(
                    aperture * 1e-3 / lam,
                    color=cut,
                    ls=":",
                    lw=1.2,
                    label="narrower aperture" if k == 0 else None,
                )
            ax.set_title(f"defocus {defocus:g} nm, Cs {cs:g} µm", fontsize="small")
            ax.set(xlim=(0, q[-1]), ylim=(-1.05, 1.05))
    figure.supxlabel("spatial frequency (1/Å)", fontsize="medium")
    along = "" if optics.round else " along azimuth 0"
    figure.supylabel(f"transfer T(q){along}", fontsize="medium")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def matrix(ood: xr.Dataset, palette: str) -> Figure:
    """Return M(i, j) and the gap to the test condition's own network, train by test.

    A row of panels for each specimen, architecture and test specimen.
    """
    _theme()
    groups = _groups(ood)
    size = max(2.6, 0.16 * max(ood.sizes["train"], ood.sizes["test"]))
    size = min(size, 6)
    named = max(ood.sizes["train"], ood.sizes["test"]) <= 36
    figure, axes = plt.subplots(
        len(groups),
        2,
        figsize=(2 * size + (4 if named else 2), len(groups) * size + (2 if named else 0.6)),
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
    for row, (name, group) in zip(axes, groups.items(), strict=True):
        for k, (ax, (variable, title, options)) in enumerate(zip(row, columns, strict=True)):
            sns.heatmap(
                group[variable].transpose("train", "test").values,
                ax=ax,
                square=True,
                **options,
                xticklabels=[label(id) for id in group.test.values] if named else False,
                yticklabels=[label(id) for id in group.train.values] if named and k == 0 else False,
                cbar_kws={"label": title, "shrink": 0.8},
            )
            ax.tick_params(labelsize=6, length=0)
            ax.set_facecolor("0.8")
            ax.set(xlabel="tested under", ylabel="trained under" if k == 0 else None)
        row[0].set_title(name, loc="left", fontsize="small")
    return figure


def metrics(ood: xr.Dataset, information: xr.Dataset, palette: str) -> Figure:
    """Return how well each information metric ranks Dice under other conditions.

    Above, Spearman's ρ of every metric, for each weight: filled over all pairs of different
    conditions, open over those of the same dose. Below, for each weight, the pairs themselves over
    the metric of the largest |ρ| over all of them. A specimen's weight is of its networks alone.
    """
    _theme()
    weights = [str(w) for w in information.weight.values if "/" not in w]  # no single bands
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
        found = information.sel(weight=weight).transpose("train", "test", ...)
        # A specimen's spectrum says nothing of networks trained on another specimen.
        own = pairs if weight == "flat" else pairs[pairs["specimen"] == weight]
        same = own.index[shift[own.index] == 1]
        values = {name: pd.Series(found[name].values[own.i, own.j], own.index) for name in names}
        every = {name: _rho(x, own.dice) for name, x in values.items()}
        equal = {name: _rho(x[same], own.dice[same]) for name, x in values.items()}
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
        unit = found[best].attrs.get("units", "1")
        ax.set_title(
            f"weight {weight}, ρ = {every[best]:.2f},\nat equal dose {equal[best]:.2f}",
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


def _rho(x: pd.Series, y: pd.Series) -> float:
    """Return Spearman's rank correlation, NaN where one side is constant."""
    return spearmanr(x, y).statistic if min(x.nunique(), y.nunique()) > 1 else np.nan


def decay(ood: xr.Dataset, palette: str) -> Figure:
    """Return Dice over each imaging parameter of the test condition, a line per training value.

    A panel uses the pairs whose other three parameters agree; lines are means over them and bands
    their 95% bootstrap interval, open circles the training values themselves.
    """
    _theme()
    pairs = _pairs(ood).dropna(subset="dice")
    figure, axes = plt.subplots(1, len(AXES), figsize=(9.6, 2.5), sharey=True, layout="constrained")
    axes[0].set_ylabel("mean Dice")
    for ax, axis in zip(axes, AXES.values(), strict=True):
        x, hue = f"test_{axis.name}", f"train_{axis.name}"
        others = [other for other in AXES if other != axis.name]
        same = np.logical_and.reduce([pairs[f"train_{o}"] == pairs[f"test_{o}"] for o in others])
        shown = pairs[same & pairs[hue].isin(_spread(pairs[hue].unique(), 6))]
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
        ticks = _spread(values)
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


#: Predictors by their names for a reader; of others, the name itself.
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
    """Return what another specimen does to networks, and what tells of it.

    Left, Dice under equal conditions, by specimen trained and tested on. Middle, how well each
    predictor orders the gaps to the test specimen's and condition's own network. Right, what the
    gaps hang on. See :func:`passband.structure.explained`.
    """
    _theme()
    found = explained(ood, information, distances)
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(7.2, 2.9), width_ratios=(1.15, 1.2, 0.75), layout="constrained"
    )
    sns.heatmap(
        found.dice.values,
        ax=left,
        square=True,
        vmin=0,
        vmax=1,
        cmap=palette,
        annot=True,
        fmt=".2f",
        annot_kws={"size": "x-small"},
        xticklabels=found.test_specimen.values,
        yticklabels=found.specimen.values,
        cbar=False,
    )
    left.tick_params(labelsize="x-small", length=0)
    left.tick_params(axis="x", rotation=45)
    left.tick_params(axis="y", rotation=0)
    left.set_xlabel("tested on", fontsize="small")
    left.set_ylabel("trained on", fontsize="small")
    left.set_title("Dice, equal conditions", fontsize="small")

    shown = found.sel(predictor=found.rho.notnull().any("shift"))
    colours = sns.color_palette(palette, len(SHIFTS))
    rows = np.arange(shown.sizes["predictor"])
    for k, (shift, colour) in enumerate(zip(SHIFTS, colours, strict=True)):
        rho, y = shown.rho.sel(shift=shift).values, rows + 0.22 * (k - 1)
        low, high = shown.rho_interval.sel(shift=shift).values.T
        middle.hlines(y, low, high, color=colour, lw=1.2)
        middle.plot(rho, y, "o", ms=3.5, color=colour, label=SHIFTS[shift])
        # What is the same in every cell tells nothing of the gap.
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
    for source, colour in (("conditions", OWN), ("specimens", OTHER)):
        share = np.clip(np.nan_to_num(found.share.sel(source=source).values), 0, 1)
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


def examples(
    images: dict[str, np.ndarray],
    predictions: dict[str, np.ndarray],
    masks: np.ndarray,
    scores: dict[str, np.ndarray],
    train: str,
    pixel_size_A: float,
) -> Figure:
    """Return test images under several conditions with outlines of truth and prediction.

    Parameters
    ----------
    images : dict of str to (N, px, px) array
        Test condition's id to images, the training condition first.
    predictions : dict of str to (N, px, px) bool array
        What the network takes for particle.
    masks : (N, px, px) array
        The truth.
    scores : dict of str to (N,) array
        Dice of each image.
    train : str
        Id of the training condition.
    pixel_size_A : float
        Side of a pixel [Å].
    """
    _theme()
    rows, columns = len(masks), len(images)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.3 * columns, 2.3 * rows + 0.9),
        squeeze=False,
        layout="constrained",
    )
    side = masks.shape[-1] * pixel_size_A / units.A_PER_NM
    extent = (0, side, 0, side)
    for k, id in enumerate(images):
        colour = OWN if id == train else OTHER
        for n in range(rows):
            ax = axes[n, k]
            low, high = np.quantile(images[id][n], [0.005, 0.995])
            ax.imshow(
                images[id][n].T, cmap="gray", origin="lower", extent=extent, vmin=low, vmax=high
            )
            for outline, line in ((masks[n], TRUTH), (predictions[id][n], colour)):
                if outline.any() and not outline.all():
                    ax.contour(
                        outline.T, [0.5], colors=line, linewidths=1.3, origin="lower", extent=extent
                    )
            ax.text(
                0.03,
                0.97,
                f"Dice {scores[id][n]:.2f}",
                transform=ax.transAxes,
                va="top",
                fontsize="small",
                color="white",
                bbox={"fc": "black", "alpha": 0.6, "lw": 0, "pad": 2},
            )
            ax.set(xticks=[], yticks=[])
            sns.despine(ax=ax, left=True, bottom=True)
        where = "training condition" if id == train else "other condition"
        lens, dose = label(id).rsplit(" · ", 1)
        axes[0, k].set_title(f"{where}\n{lens}\n{dose}", fontsize="x-small", color=colour)
    _scale_bar(axes[-1, 0], side)
    handles = [
        plt.Line2D([], [], color=colour, label=name)
        for colour, name in (
            (TRUTH, "truth"),
            (OWN, "predicted, in distribution"),
            (OTHER, "predicted, out of it"),
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def gallery(
    potentials: np.ndarray,
    waves: np.ndarray,
    images: np.ndarray,
    instances: np.ndarray,
    specimen: str,
    structures: Sequence[str],
    condition: str,
    pixel_size_A: float,
) -> Figure:
    """Return a contact sheet of a specimen: a row for each structure.

    The panels of a column share one scale, so that structures can be compared.

    Parameters
    ----------
    potentials : (N, px, px) array
        Projected potentials [V·Å].
    waves : (N, px, px) complex array
        Exit waves, vacuum of amplitude 1.
    images : (N, px, px) array
        Electron counts.
    instances : (N, 2, px, px) array
        Ground truth, see :func:`passband.specimen.instances`: drawn as the semantic mask, with an
        outline around each particle.
    specimen : str
        The specimen's name.
    structures : sequence of N str
        What to call each structure.
    condition : str
        Id of the images' condition.
    pixel_size_A : float
        Side of a pixel [Å].
    """
    _theme()
    masks = instances.any(1)
    # Phase beside the particles' surroundings: that of a whole wave means nothing.
    beside = np.where(masks.all((-2, -1), keepdims=True), True, ~masks)
    mean = (waves * beside).sum((-2, -1), keepdims=True)
    columns = (
        ("projected potential [kV·Å]", potentials / 1e3, "magma", (0, 0.999)),
        ("exit wave, amplitude", np.abs(waves), "gray", (0.001, 0.999)),
        ("exit wave, phase [rad]", np.angle(waves / mean), "magma", (0.001, 0.999)),
        ("image [electrons]", images, "gray", (0.005, 0.995)),
        ("mask and its particles", masks, "gray", None),
    )
    rows = len(masks)
    figure, axes = plt.subplots(
        rows,
        len(columns),
        figsize=(1.9 * len(columns), 1.9 * rows + 0.9),
        squeeze=False,
        layout="constrained",
    )
    side = masks.shape[-1] * pixel_size_A / units.A_PER_NM
    extent = (0, side, 0, side)
    for k, (title, values, palette, ends) in enumerate(columns):
        low, high = np.quantile(values, ends) if ends else (-1, 2)  # grey, for colours to show on
        for n in range(rows):
            ax = axes[n, k]
            shown = ax.imshow(
                values[n].T, cmap=palette, origin="lower", extent=extent, vmin=low, vmax=high
            )
            ax.set(xticks=[], yticks=[])
            sns.despine(ax=ax, left=True, bottom=True)
        axes[0, k].set_title(title, fontsize="small")
        bar = figure.colorbar(shown, ax=axes[:, k], location="bottom", aspect=20, pad=0.02)
        bar.ax.tick_params(labelsize="x-small")
        bar.outline.set_visible(False)
    # In place of the last scale: what it has instead.
    bar.ax.clear()
    bar.ax.set_axis_off()
    handles = [plt.Line2D([], [], color="0.3", ls=line) for line in OUTLINES.values()]
    bar.ax.legend(handles, OUTLINES, loc="upper center", ncols=2, fontsize="x-small")
    for row, name, faces in zip(axes, structures, instances, strict=True):
        row[0].set_ylabel(name, fontsize="small")
        _outline_particles(row[-1], faces, extent)
        _scale_bar(row[0], side)
    figure.suptitle(f"{specimen} · image at {label(condition)}", fontsize="small")
    return figure


def masks(
    atoms: np.ndarray,
    particle: np.ndarray,
    radius: float,
    reach: float,
    instances: np.ndarray,
    pixel_size_A: float,
) -> Figure:
    """Return how the masks of a structure come about, in four panels.

    The projected atoms, discs about the particles' atoms, the outlines of their closing, and the
    semantic mask with the particles in it.

    Parameters
    ----------
    atoms : (atoms, 2) array
        Places in projection [Å].
    particle : (atoms,) int array
        Which particle each is of; 0 is the substrate.
    radius, reach : float
        Radius r of the discs, and r plus that of the closing [Å].
    instances : (2, px, px) array
        See :func:`passband.specimen.instances`.
    pixel_size_A : float
        Side of a pixel [Å].
    """
    _theme()
    figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.8), layout="constrained")
    side = instances.shape[-1] * pixel_size_A / units.A_PER_NM
    half = pixel_size_A / units.A_PER_NM / 2  # a pixel's place is its centre
    extent = (-half, side - half, -half, side - half)
    colours = _particle_colours(range(1, particle.max() + 1))
    dot, around = 0.35, side * np.array(list(product((-1, 0, 1), repeat=2)))
    for ax, size in zip(axes[:3], (dot, radius, radius), strict=True):
        ax.set_aspect("equal")
        for number, colour in {0: "0.85", **colours}.items():
            diameter = 2 * (size if number else dot) / units.A_PER_NM
            places = atoms[particle == number] / units.A_PER_NM
            discs = EllipseCollection(
                diameter,
                diameter,
                0,
                units="xy",
                offsets=(places + around[:, None]).reshape(-1, 2),  # the field is periodic
                offset_transform=ax.transData,
                facecolor=(colour, 1 if size == dot or not number else 0.3),
                edgecolor=colour,
                lw=0.3,
            )
            ax.add_collection(discs)
    axes[3].imshow(instances.any(0).T, cmap="gray", origin="lower", extent=extent, vmin=-1, vmax=2)
    for ax in axes[2:]:
        _outline_particles(ax, instances, extent)
    for ax, title in zip(
        axes,
        (
            "atoms in projection",
            f"discs of r = {radius:.2f} Å",
            f"closed by discs of {reach - radius:.2f} Å",
            "semantic mask and particles",
        ),
        strict=True,
    ):
        ax.set_title(title, fontsize="small")
        ax.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
        sns.despine(ax=ax, left=True, bottom=True)
    _scale_bar(axes[3], side)
    return figure


def _particle_colours(numbers: Iterable[int]) -> dict[int, tuple]:
    numbers = list(numbers)
    return dict(zip(numbers, sns.color_palette("husl", len(numbers)), strict=True))


def _outline_particles(ax: plt.Axes, faces: np.ndarray, extent: tuple) -> None:
    """Draw an outline around each particle, in the line of the face that it lies on."""
    for number, colour in _particle_colours(np.setdiff1d(np.unique(faces), 0)).items():
        for face, line in zip(faces == number, OUTLINES.values(), strict=True):
            if face.any() and not face.all():
                ax.contour(
                    face.T,
                    [0.5],
                    colors=[colour],
                    linewidths=1.3,
                    linestyles=line,
                    origin="lower",
                    extent=extent,
                )


def _scale_bar(ax: plt.Axes, side: float) -> None:
    """Draw a bar of a round length in the lower left corner of a field of `side` nm."""
    bar = min((b for b in (0.5, 1, 2, 5, 10) if b >= side / 6), default=10)
    edge = [withStroke(linewidth=2, foreground="black")]
    left, right = side * 0.05, side * 0.05 + bar
    ax.plot([left, right], [side * 0.06] * 2, color="white", lw=3, path_effects=edge)
    text = f"{bar:g} nm"
    ax.text(left, side * 0.09, text, color="white", fontsize="small", path_effects=edge)


def _groups(data: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the data of each specimen, architecture and test specimen, by a readable name."""
    groups = {}
    for specimen in data.specimen.values:
        for architecture in data.architecture.values:
            for test in data.test_specimen.values:
                name = f"{architecture}, {specimen}"
                groups[name + (f" → {test}" if test != specimen else "")] = data.sel(
                    specimen=specimen, architecture=architecture, test_specimen=test
                )
    return groups


def _pairs(ood: xr.Dataset) -> pd.DataFrame:
    """Return a row for each pair of conditions of networks tested on their own specimen."""
    own = pd.concat(
        _frame(group)
        for group in _groups(ood).values()
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


#: Sets of features in the order and with the names and colours that figures of prediction have.
FEATURES = {
    "ctf": "transfer functions",
    "raw": "imaging parameters",
    "spectral": "image spectra",
    "id": "in-distribution Dice",
    "cka": "CKA of networks",
    "frechet": "Fréchet distance of features",
    "mmd": "MMD of features",
    "mean": "mean",
}


def prediction(predicted: xr.Dataset, palette: str) -> Figure:
    """Return how well held-out cells are predicted, a column for each matrix.

    Above, predicted over true Dice with whole levels left out in training, all axes together.
    Below, R² for each axis that levels are left out of, and each set of features: points are all
    levels of an axis together, with their bootstrap interval, and ticks single levels, of transfer
    functions alone.
    """
    figure, axes, matrices = _columns(predicted, (2.6, 3.8))
    sets = [name for name in _in_order(predicted.features.values) if name != "mean"]
    colours = _feature_colours(sets)
    for (parity, below), (name, of) in zip(axes.T, matrices.items(), strict=True):
        _parity(parity, of, palette)
        parity.set_title(name, loc="left", fontsize="small")
        _left_out(below, of.sel(model="stacked"), sets, colours)
    handles, names = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _columns(
    predicted: xr.Dataset, heights: Sequence[float]
) -> tuple[Figure, np.ndarray, dict[str, xr.Dataset]]:
    """Return panels one below the other, a journal's column wide, beside those of other matrices.

    The matrices are the groups that were large enough to be predicted.
    """
    _theme()
    matrices = {name: of for name, of in _groups(predicted).items() if of.r2.notnull().any()}
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
    known = {"ctf": OWN, "raw": OTHER, "spectral": "#e09f3e", "id": "#6c757d"}
    known |= {"cka": "#4a9d5f", "frechet": "#8172b3", "mmd": "#937860"}
    return {name: known.get(name) or next(others) for name in sets}


def _parity(ax: plt.Axes, of: xr.Dataset, palette: str) -> None:
    """Draw predicted over true Dice, a density of cells where they are many."""
    levels = [axis for axis in of.axis.values if axis in AXES]
    axis = levels or list(of.axis.values)
    predicted = of.predicted.sel(axis=axis, end="train").transpose("axis", "train", "test").values
    true = np.broadcast_to(of.true.transpose("train", "test").values, predicted.shape)
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


def _left_out(ax: plt.Axes, of: xr.Dataset, sets: Sequence[str], colours: dict) -> None:
    """Draw R² of the sets of features in a row for each axis and end that is left out."""
    whole = of.part.values[of.part_level.values == "all"]
    place, rows = 0.0, []
    for k, part in enumerate(whole):
        axis, end = (str(of[f"part_{n}"].sel(part=part).values) for n in ("axis", "end"))
        if k and end == "train":
            place += 0.5
        for name in reversed(sets):  # the transfer functions on top
            r2 = of.r2.sel(features=name)
            low, high = of.r2_interval.sel(features=name, part=part).values
            ax.plot([low, high], [place] * 2, color=colours[name], lw=1.4, solid_capstyle="butt")
            label = FEATURES.get(name, name) if k == 0 else None
            size = 4.6 if name == "ctf" else 3.2
            ax.plot(r2.sel(part=part), place, "o", ms=size, color=colours[name], label=label)
        same = (of.part_axis == axis) & (of.part_end == end) & (of.part_level != "all")
        single = of.r2.sel(features="ctf").values[same.values]
        ax.plot(single, np.full(len(single), place), "|", ms=6, mew=0.8, color=colours["ctf"])
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
    """Return steps between neighbours on the grid beside their noise, and monotonicity.

    Above, the mean of |ΔM| and of the deviation from a straight line, in steps between networks and
    between test conditions, with black ticks where noise alone would put them. Below, Spearman's ρ
    of mean Dice and each metric with its interval: filled for all pairs of different conditions,
    open within pairs of doses. A column for each matrix.
    """
    figure, axes, matrices = _columns(predicted, (2.5, 3.6))
    shades = sns.color_palette(palette, 4)
    bars = ("step", "train"), ("step", "test"), ("bend", "train"), ("bend", "test")
    words = {"step": "step", "bend": "off a line", "train": "networks", "test": "test conditions"}
    for (above, below), (name, of) in zip(axes.T, matrices.items(), strict=True):
        of = of.isel(along=np.flatnonzero(of.step.notnull().any("step_end").values))
        at = np.arange(of.sizes["along"])
        for k, ((value, end), colour) in enumerate(zip(bars, shades, strict=True)):
            x = at + 0.2 * (k - 1.5)
            height = of[value].sel(step_end=end).values
            label = f"{words[value]}, {words[end]}"
            above.bar(x, height, 0.18, color=colour, lw=0, label=label)
            noise = of[f"{value}_noise"].sel(step_end=end).values
            label = "noise alone" if k == 3 else None
            above.plot(x, noise, "_", color="black", ms=7, label=label)
        above.set_xticks(at, [AXES[str(a)].label for a in of.along.values])
        above.set(ylabel="mean change of Dice")
        above.set_title(name, loc="left", fontsize="small")
        whole = [weight for weight in of.weight.values if "/" not in weight]  # no single bands
        for k, (weight, colour) in enumerate(zip(whole, (OWN, OTHER), strict=False)):
            one = of.sel(weight=weight)
            for n, (kind, face) in enumerate((("along_rho", colour), ("along_rho_dose", "white"))):
                y = np.arange(of.sizes["metric"]) + 0.4 * (k - 0.5) + 0.2 * (n - 0.5)
                low, high = one[f"{kind}_interval"].transpose("bound", "metric").values
                below.hlines(y, low, high, color=colour, lw=1)
                label = None if n else f"weight {weight}"
                below.plot(one[kind], y, "o", ms=3.2, color=colour, mfc=face, label=label)
        below.set_yticks(np.arange(of.sizes["metric"]), of.metric.values, fontsize=7)
        below.invert_yaxis()
        below.axvline(0, color="0.7", lw=0.8)
        below.set(xlim=(-1, 1), xlabel="Spearman's ρ with mean Dice")
    entries = [ax.get_legend_handles_labels() for ax in axes[:, 0]]
    handles, names = ([one for of in both for one in of] for both in zip(*entries, strict=True))
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=7)
    return figure


def design(predicted: xr.Dataset, palette: str) -> Figure:
    """Return what chosen sets of training conditions are worth, and how many make the matrix known.

    Above, the lowest and the mean Dice over test conditions of the best of some networks under
    each, over their number; the band is the middle 90% of random sets. Below, the error of Dice
    that is hidden, of networks or of single cells, over the share that is known, and that of
    another replica. A column for each matrix. The colours are those of the features; `palette` has
    no part in it.
    """
    figure, axes, matrices = _columns(predicted, (1.8, 1.8, 1.8))
    lines = {
        "true": ("true Dice (oracle)", "0.3", "--"),
        "predicted": ("predicted Dice", OWN, "-"),
        "coverage": ("coverage", OTHER, "-"),
        "random": ("random", "0.6", "-"),
    }
    for column, (name, of) in zip(axes.T, matrices.items(), strict=True):
        sizes = of["size"].values
        for ax, worth in zip(column, ("worst", "mean"), strict=False):
            values = of.design.sel(worth=worth)
            low, high = (values.sel(strategy=f"random_{end}") for end in ("low", "high"))
            ax.fill_between(sizes, low, high, color="0.6", alpha=0.25, lw=0)
            for strategy, (label, colour, line) in lines.items():
                y = values.sel(strategy=strategy)
                ax.plot(sizes, y, line, color=colour, lw=1.3, label=label)
            ax.plot(sizes, values.sel(strategy="optimum"), "k*", ms=5, label="best set of all")
            ax.set(ylabel=f"{worth} Dice", xticks=sizes)
        column[0].set_title(name, loc="left", fontsize="small")
        column[1].set_xlabel("networks to choose from")
        ax, share = column[2], 100 * of.share.values
        random = of.completion.isel(choice=slice(None, -1)).transpose("hidden", "share", "choice")
        networks, cells = (random.sel(hidden=h).values for h in ("networks", "cells"))
        for values, colour, label in (
            (networks, "0.6", "networks at random"),
            (cells, OTHER, "cells at random"),
        ):
            ax.plot(share, values, "o", ms=2.5, color=colour)
            ax.plot(share, values.mean(1), color=colour, lw=1.3, label=label)
        apart = of.completion.sel(hidden="networks", choice="designed")
        ax.plot(share, apart, "o-", ms=3, color=OWN, lw=1.3, label="networks far apart")
        if np.isfinite(of.reach):
            ax.axhline(of.reach, color="black", lw=0.8, ls=":")
            ax.text(share[-1], of.reach, "another replica", ha="right", va="top", fontsize=7)
        ax.legend(fontsize=7, loc="upper right")
        ax.set(xlabel="known (%)", ylabel="error of the rest")
        ax.set_ylim(0, 1.1 * np.nanmax(random))
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize="small")
    return figure
