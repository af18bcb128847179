"""The figure of the transfer functions for conditions that are points."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from passband.config import Microscope
from passband.figures import style
from passband.grid import Condition
from passband.optics import ctf

#: Number of rows of panels, height of a row, and height of the words around them [cm].
_ROWS, _ROW_CM, _WORDS_CM = 3, 3.3, 2.4
#: The frequency axis ends at the widest aperture times this number.
BEYOND = 1.1
#: Number of azimuths for the range of the transfer of a lens that is not round.
_AZIMUTHS = 90
#: Lines of the lattice spacings, one for each specimen.
_LINES = (":", "-.", (0, (1, 3)), (0, (5, 2, 1, 2, 1, 2)))


def draw_transfer(ax: Axes, q: np.ndarray, optics: ctf.Optics, colour: str, label: str) -> None:
    """Draw the transfer T(q) of a lens, and for a lens that is not round, its range over azimuths.

    Args:
        ax: The axes of the figure.
        q: (n,), spatial frequencies [1/Å].
        colour, label: The colour, and the words of the legend.
    """
    if optics.round:
        # The line is in front of the areas of other lenses.
        ax.plot(q, ctf.transfer(optics, q), color=colour, lw=1.3, label=label, zorder=3)
        return
    azimuths = np.linspace(0, 2 * np.pi, _AZIMUTHS, endpoint=False)[:, None]
    T = ctf.transfer(optics, q, azimuths)
    ax.fill_between(q, T.min(0), T.max(0), color=colour, alpha=0.35, lw=0.8, label=label)


def largest_envelope(optics: ctf.Optics, q: np.ndarray) -> np.ndarray:
    """Return the largest envelope (n,) of a lens over all azimuths, at spatial frequencies (n,)."""
    azimuths = np.linspace(0, 2 * np.pi, 1 if optics.round else _AZIMUTHS, endpoint=False)
    return ctf.envelope(optics, q, azimuths[:, None]).max(0)


def draw_envelope(ax: Axes, q: np.ndarray, envelope: np.ndarray) -> None:
    """Draw an envelope as an area on both sides of 0."""
    ax.axhline(0, color="0.7", lw=0.6, zorder=0)
    ax.fill_between(q, -envelope, envelope, color=style.NEUTRAL, alpha=0.12, lw=0)
    ax.plot(q, envelope, color=style.NEUTRAL, lw=0.8, label="envelope")


def draw_spacings(ax: Axes, spacings: Mapping[str, Sequence[float]]) -> None:
    """Draw lines at the lattice spacings [Å] of each specimen."""
    for place, (name, distances) in enumerate(spacings.items()):
        words = f"lattice spacings of {name}: {', '.join(f'{d:.2f}' for d in distances)} Å"
        line = {"color": "0", "ls": _LINES[place % len(_LINES)], "lw": 0.8}
        for k, distance in enumerate(distances):
            ax.axvline(1 / distance, label=words if k == 0 else None, **line)


def label_axes(figure: Figure, lenses: Iterable[ctf.Optics]) -> None:
    """Write what the axes of all panels are."""
    figure.supxlabel("spatial frequency q (1/Å)", fontsize=style.MEDIUM)
    along = "" if all(lens.round for lens in lenses) else ", areas: range over azimuths"
    meaning = "atoms are dark below 0, bright above 0"
    figure.supylabel(f"transfer T(q){along}\n{meaning}", fontsize=style.SMALL)


def curves_of_points(
    conditions: Sequence[Condition],
    microscope: Microscope,
    spacings: Mapping[str, Sequence[float]] | None = None,
    width_cm: float = style.PAGE_CM,
) -> Figure:
    """Return the figure of transfer and envelope, with a panel for each of some conditions.

    At most twelve conditions are shown, or six in a narrow figure, at even intervals in their
    order. Each curve ends at the condition's own aperture. Conditions that differ only in dose have
    the same transfer. The title of a panel has the values of further axes that the condition has
    and that differ from the study's own values. The parameters are those of
    :func:`passband.figures.ctf.ctf_curves`.
    """
    lenses: dict[tuple, Condition] = {}
    for condition in conditions:
        lens = microscope.optics(condition)
        lenses.setdefault(lens, condition)
    columns = 2 if style.is_narrow(width_cm) else 4
    every = list(lenses.items())
    number = min(len(every), columns * _ROWS)
    shown = [every[k] for k in np.linspace(0, len(every) - 1, number).round().astype(int)]
    rows = -(-number // columns)
    height_cm = _ROW_CM * rows + _WORDS_CM
    figure, axes = style.panels(rows, columns, width_cm, height_cm, sharex=True, sharey=True)
    limit = max(microscope.under(condition).sampling.cutoff for _, condition in shown)
    q = np.linspace(0, limit, 1500)
    widest = max(lens.aperture * 1e-3 / ctf.wavelength(lens.energy) for lens, _ in shown)
    for ax in axes.flat[number:]:
        ax.set_axis_off()
    for ax, (lens, condition) in zip(axes.flat, shown, strict=False):
        draw_envelope(ax, q, largest_envelope(lens, q))
        draw_transfer(ax, q, lens, style.TRANSFER, "transfer T(q)")
        draw_spacings(ax, spacings or {})
        ax.set(xlim=(0, min(q[-1], BEYOND * widest)), ylim=(-1.05, 1.05), yticks=[-1, 0, 1])
        first = f"{style.short(condition.defocus_nm)} nm, Cs {style.short(condition.cs_um)} µm"
        further = [style.value_label(name, value) for name, value in condition.further]
        second = ", ".join([f"{style.short(condition.aperture_mrad)} mrad", *further[:1]])
        ax.set_title("\n".join([first, second, *further[1:]]), fontsize=style.SMALL)
    label_axes(figure, [lens for lens, _ in shown])
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=1 if style.is_narrow(width_cm) else 3,
    )
    return figure
