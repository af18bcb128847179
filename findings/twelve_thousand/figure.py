"""The one figure of README.md: four panels, from the small files beside it."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from findings.twelve_thousand.pieces import FOLDER
from findings.twelve_thousand.scherzer import load, panel
from passband.figures import style

#: The shares of the variance, with short words. They add to 1.
SHARES = {
    "pair of doses": "pair of doses",
    "training lens, at given doses": "training lens",
    "test lens, at given doses": "test lens",
    "training lens × test lens": "interaction",
}
#: The lines of the second panel and their colours.
LINES = {
    "scaled": ("scaled parameters", style.PARAMETERS),
    "T(q), bits and dose": ("T(q), bits, dose", style.TRANSFER),
}
#: The axes of the lens whose levels are left out in training, with short names.
AXES = {"defocus_nm": "defocus", "cs_um": "Cs", "aperture_mrad": "aperture"}


def variance(ax: plt.Axes, matrix: dict) -> None:
    """Draw where the variance of Dice is."""
    shares = [matrix["shares"][name] for name in SHARES]
    values, low, high = np.array(shares).T * 100
    y = np.arange(len(values))[::-1]
    ax.barh(y, values, xerr=[values - low, high - values], color=style.NEUTRAL, height=0.6)
    ax.set_yticks(y, list(SHARES.values()))
    ax.set_xlabel("share of the variance of Dice (%)")


def levels(ax: plt.Axes, lines: pd.DataFrame) -> None:
    """Draw R² of the interaction for each level that was left out in training."""
    lines = lines[(lines.side == "train") & lines.axis.isin(AXES) & (lines.slice != "all")]
    rows = [(axis, line) for axis in AXES for line in LINES]
    random = np.random.default_rng(0)
    for k, (axis, line) in enumerate(rows):
        of = lines[(lines.axis == axis) & (lines.line == line)]
        words, colour = LINES[line]
        y = -k - k // len(LINES) * 0.5 + 0.15 * random.uniform(-1, 1, len(of))
        label = words if axis == "defocus_nm" else None
        ax.plot(of.interaction, y, "o", ms=4, color=colour, alpha=0.8, mec="white", label=label)
    ceiling = lines[lines.line == "scaled"].ceiling.mean()
    ax.axvline(ceiling, color="0", lw=1, ls="--", label="ceiling of seven replicas")
    ax.set_yticks([-0.5 - 2.5 * k for k in range(len(AXES))], list(AXES.values()))
    ax.set(xlabel="R² of the interaction, a level left out", xlim=(min(0, ax.get_xlim()[0]), 1.02))
    ax.set_ylim(bottom=-2.5 * len(AXES) - 2)  # room for the legend
    ax.legend(loc="lower left", fontsize="small")


def scherzer(ax: plt.Axes, folder: Path) -> None:
    """Draw Dice at home and abroad against the defocus of training in Scherzer units."""
    frame = load(folder / "studies" / "scherzer.csv")
    panel(ax, frame)
    marks = zip(sorted(frame.cs_um.unique()), "os", strict=True)
    lines = zip(sorted(frame.dose.unique()), ("-", "--"), strict=True)
    handles = [
        plt.Line2D([], [], color=style.OWN, label="own condition"),
        plt.Line2D([], [], color=style.OTHER, label="other conditions"),
        *(plt.Line2D([], [], color="0.3", marker=m, ls="", label=f"{cs:g} µm") for cs, m in marks),
        *(plt.Line2D([], [], color="0.3", ls=ls, label=f"{dose} e/Å²") for dose, ls in lines),
        Patch(color="0.9", label="trough"),
    ]
    ax.legend(handles=handles, loc="lower center", ncols=2, fontsize="small")
    ax.set_ylim(bottom=ax.get_ylim()[0] - 0.2)  # room for the legend


def locked(ax: plt.Axes, folder: Path) -> None:
    """Draw the Dice of networks that were predicted before they were trained."""
    from findings.twelve_thousand.locked import TRAIN, UNIT

    predicted = np.load(folder / "predictions.npz")["T(q) in bands"] / UNIT
    dice = np.load(folder / "dice.npz")["old"].mean(1) / UNIT
    tests = json.loads((folder / "result.json").read_text(encoding="utf-8"))["old_tests"]
    x, y = (each[:TRAIN, :tests].ravel() for each in (predicted, dice))
    cells = ax.hexbin(x, y, gridsize=45, bins="log", cmap="viridis", mincnt=1, extent=(0, 1, 0, 1))
    place = ax.inset_axes((0.58, 0.16, 0.38, 0.035))
    ax.figure.colorbar(cells, cax=place, orientation="horizontal")
    place.set_title("pairs of network and test", fontsize="small", pad=3)
    ax.plot([0, 1], [0, 1], color="0", lw=0.8, label="equal")
    ax.legend(loc="upper left", fontsize="small")
    low = float(np.floor(10 * min(x.min(), y.min())) / 10)
    ax.set(xlim=(low, 1), ylim=(low, 1))
    ax.set(xlabel="Dice predicted before training", ylabel="Dice of the networks")
    ax.set_aspect("equal")


def draw(folder: Path = FOLDER) -> Figure:
    """Return the figure."""
    style.set_theme()
    size = style.inches(style.PAGE_CM), style.inches(15)
    figure, axes = plt.subplots(2, 2, figsize=size, layout="constrained")
    variance(axes[0, 0], json.loads((folder / "data" / "matrix.json").read_text(encoding="utf-8")))
    levels(axes[0, 1], pd.read_csv(folder / "data" / "lines.csv"))
    scherzer(axes[1, 0], folder)
    locked(axes[1, 1], folder / "locked")
    for letter, ax in zip("abcd", axes.flat, strict=True):
        ax.set_title(letter, loc="left", fontweight="bold")
    return figure
