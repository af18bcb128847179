"""The figure of the transfer functions."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from passband.axes import MAIN_AXES
from passband.config import Microscope, Study
from passband.figures import style
from passband.grid import Axes, Condition, has_few_neighbours
from passband.optics import ctf
from passband.parts import figure

#: Height of a row of panels [cm].
_ROW_CM = 3.3
#: Height of the words around panels [cm].
_WORDS_CM = 1.9
#: Number of rows for conditions that are points.
_ROWS_OF_POINTS = 3
#: Height of the words around these rows [cm].
_WORDS_OF_POINTS_CM = 2.4
#: The frequency axis ends at the widest aperture times this number.
_BEYOND = 1.1
#: Number of azimuths for the range of the transfer of a lens that is not round.
_AZIMUTHS = 90
#: Lines of the lattice spacings, one for each specimen.
_LINES = (":", "-.", (0, (1, 3)), (0, (5, 2, 1, 2, 1, 2)))
#: Colours of the lenses of a panel.
_COLOURS = (style.TRANSFER, style.OTHER, style.OWN, style.SPECIMENS)


@figure(
    name="ctf",
    inputs=("study",),
    place="trained",
    settings=("lens", "training conditions", "lattice spacings"),
    caption=(
        "**Contrast transfer of the training grid.** T(q) through the widest aperture: atoms are "
        "dark where it is negative and bright where it is positive. An area is its range over "
        "azimuths, for a lens that is not round. Grey: the envelope of the spreads. Black: lattice "
        "spacings, whose fringes a narrower aperture may cut off (dashed)."
    ),
)
def transfer_functions(study: Study, width_cm: float = style.PAGE_CM) -> Figure:
    """Return the figure of transfer and envelope of a study's training conditions."""
    # Nothing else of the microscope may change the figure.
    lens = Microscope(**study.microscope.lens_params())
    return ctf_curves(study.train_conditions, lens, study.spacings, width_cm)


def ctf_curves(
    conditions: Sequence[Condition],
    microscope: Microscope,
    spacings: Mapping[str, Sequence[float]] | None = None,
    width_cm: float = style.PAGE_CM,
) -> Figure:
    """Return the figure of transfer and envelope, with a panel for each defocus and Cs.

    Transfer and envelope are drawn against spatial frequency. At most four values of defocus and
    four values of Cs are shown, or two of each in a narrow figure. The curves of all panels are for
    the widest aperture, which the legend names. Dashed lines show where the narrower apertures end.
    Thin lines show the lattice spacings of specimens. If conditions differ in further axes that
    change the lens, each panel has the transfer of each of at most four such lenses, and the
    envelope is the largest of theirs. For a lens that is not round, an area shows the range of the
    transfer over all azimuths. If the conditions are points, each panel has one of them.

    Args:
        spacings: Lattice spacings [Å] by the name of the specimen.
    """
    if has_few_neighbours([tuple(getattr(c, n) for n in MAIN_AXES) for c in conditions]):
        return _curves_of_points(conditions, microscope, spacings, width_cm)
    lens = ("defocus_nm", "cs_um", "aperture_mrad")
    by = {axis: sorted({getattr(c, axis) for c in conditions}) for axis in lens}
    lenses = _lenses(conditions, microscope)
    most = 2 if style.is_narrow(width_cm) else style.MAX_PANELS
    defoci, spherical = (style.evenly_spaced(by[name], most) for name in ("defocus_nm", "cs_um"))
    apertures = by["aperture_mrad"]
    distinct = {condition.further for condition in conditions}
    beams = [microscope.having(further) for further in distinct]
    wavelengths = sorted({ctf.wavelength(beam.energy_eV) for beam in beams})
    q = np.linspace(0, max(beam.sampling.cutoff for beam in beams), 1500)
    end = min(q[-1], _BEYOND * apertures[-1] * 1e-3 / wavelengths[0])
    entries = 1 + len(lenses) + (len(apertures) > 1) + len(spacings or {})
    # The words of several lenses are long.
    columns = 1 if style.is_narrow(width_cm) or len(lenses) > 1 else 2
    lines = -(-entries // columns)
    height_cm = _ROW_CM * len(spherical) + _WORDS_CM + 0.45 * lines
    shape = len(spherical), len(defoci)
    figure, axes = style.panels(*shape, width_cm, height_cm, sharex=True, sharey=True)
    widest = f"aperture {style.number(apertures[-1])} mrad"
    cuts = ", ".join(style.number(aperture) for aperture in apertures[:-1])
    for row, cs in zip(axes, spherical, strict=True):
        for ax, defocus in zip(row, defoci, strict=True):
            drawn = {
                words: microscope.having(further).lens(defocus, cs, apertures[-1])
                for words, further in lenses.items()
            }
            envelope = np.max([_largest_envelope(optics, q) for optics in drawn.values()], 0)
            _draw_envelope(ax, q, envelope)
            for (words, optics), colour in zip(drawn.items(), _COLOURS, strict=False):
                label = ", ".join(filter(None, ["transfer T(q)", widest, words]))
                _draw_transfer(ax, q, optics, colour, label)
            for k, (aperture, lam) in enumerate(product(apertures[:-1], wavelengths)):
                ax.axvline(
                    aperture * 1e-3 / lam,
                    color=style.PARAMETERS,
                    ls="--",
                    lw=1.2,
                    label=f"narrower apertures end: {cuts} mrad" if k == 0 else None,
                )
            _draw_spacings(ax, spacings or {})
            ax.set(xlim=(0, end), ylim=(-1.05, 1.05), yticks=[-1, 0, 1])
    for ax, defocus in zip(axes[0], defoci, strict=True):
        ax.set_title(f"defocus {style.short(defocus)} nm", fontsize=style.SMALL)
    for ax, cs in zip(axes[:, -1], spherical, strict=True):
        words = f"Cs {style.short(cs)} µm"
        ax.annotate(words, (1.02, 0.5), xycoords="axes fraction", va="center", rotation=270)
    style.letter(axes.flat)
    _label_axes(figure, axes[-1], drawn.values())
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=columns,
    )
    return figure


def _lenses(
    conditions: Sequence[Condition], microscope: Microscope
) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return the further axes of conditions with different lenses, by their words in the legend.

    Axes that do not change the lens, such as vibration and those of the specimens, and axes with
    one value have no words.
    """
    own = Axes(microscope.axis_values).own
    lenses = {tuple((n, x) for n, x in condition.further if n in own) for condition in conditions}
    names = [name for name in own if any(name in dict(further) for further in lenses)]
    values = {further: [(own | dict(further))[name] for name in names] for further in lenses}
    found: dict[tuple, tuple] = {}
    for further in sorted(lenses, key=values.get):
        optics = microscope.having(further).lens()
        # The azimuth of an aberration with the length 0 does not change the lens.
        spreads = optics.energy, optics.aperture_edge, optics.focal_spread, optics.source_spread
        found.setdefault((*spreads, *ctf.coefficients(optics)), further)
    every = list(found.values())
    varied = [k for k in range(len(names)) if len({values[further][k] for further in every}) > 1]
    return {
        ", ".join(style.value_label(names[k], values[further][k]) for k in varied): further
        for further in (every[k] for k in style.evenly_spaced(range(len(every))))
    }


def _draw_transfer(
    ax: plt.Axes, q: np.ndarray, optics: ctf.Optics, colour: str, label: str
) -> None:
    """Draw the transfer T(q) of a lens, and for a lens that is not round, its range over azimuths.

    Args:
        q: (n,), spatial frequencies [1/Å].
    """
    if optics.round:
        # The line is in front of the areas of other lenses.
        ax.plot(q, ctf.transfer(optics, q), color=colour, lw=1.3, label=label, zorder=3)
        return
    azimuths = np.linspace(0, 2 * np.pi, _AZIMUTHS, endpoint=False)[:, None]
    T = ctf.transfer(optics, q, azimuths)
    ax.fill_between(q, T.min(0), T.max(0), color=colour, alpha=0.35, lw=0.8, label=label)


def _largest_envelope(optics: ctf.Optics, q: np.ndarray) -> np.ndarray:
    """Return the largest envelope (n,) of a lens over all azimuths, at spatial frequencies (n,)."""
    azimuths = np.linspace(0, 2 * np.pi, 1 if optics.round else _AZIMUTHS, endpoint=False)
    return ctf.envelope(optics, q, azimuths[:, None]).max(0)


def _draw_envelope(ax: plt.Axes, q: np.ndarray, envelope: np.ndarray) -> None:
    """Draw an envelope as an area on both sides of 0."""
    ax.axhline(0, color="0.7", lw=0.6, zorder=0)
    ax.fill_between(q, -envelope, envelope, color=style.NEUTRAL, alpha=0.12, lw=0)
    ax.plot(q, envelope, color=style.NEUTRAL, lw=0.8, label="envelope")


def _draw_spacings(ax: plt.Axes, spacings: Mapping[str, Sequence[float]]) -> None:
    """Draw lines at the lattice spacings [Å] of each specimen."""
    for place, (name, distances) in enumerate(spacings.items()):
        words = f"lattice spacings of {name}: {', '.join(f'{d:.2f}' for d in distances)} Å"
        line = {"color": "0", "ls": _LINES[place % len(_LINES)], "lw": 0.8}
        for k, distance in enumerate(distances):
            ax.axvline(1 / distance, label=words if k == 0 else None, **line)


def _label_axes(figure: Figure, lowest: Iterable[plt.Axes], lenses: Iterable[ctf.Optics]) -> None:
    """Write what the axes of all panels are."""
    for ax in lowest:
        ax.set_xlabel("frequency q [1/Å]")
    along = "" if all(lens.round for lens in lenses) else ", areas: range over azimuths"
    meaning = "atoms are dark below 0, bright above 0"
    figure.supylabel(f"transfer T(q){along}\n{meaning}", fontsize=style.SMALL)


def _curves_of_points(
    conditions: Sequence[Condition],
    microscope: Microscope,
    spacings: Mapping[str, Sequence[float]] | None = None,
    width_cm: float = style.PAGE_CM,
) -> Figure:
    """Return the figure of transfer and envelope, with a panel for each of some conditions.

    At most twelve conditions are shown, or six in a narrow figure, at even intervals in their
    order. Each curve ends at the condition's own aperture. Conditions that differ only in dose have
    the same transfer. The title of a panel has the values of further axes that the condition has
    and that differ from the study's own values. The parameters are those of :func:`ctf_curves`.
    """
    lenses: dict[tuple, Condition] = {}
    for condition in conditions:
        lens = microscope.optics(condition)
        lenses.setdefault(lens, condition)
    columns = 2 if style.is_narrow(width_cm) else 4
    every = list(lenses.items())
    number = min(len(every), columns * _ROWS_OF_POINTS)
    shown = [every[k] for k in np.linspace(0, len(every) - 1, number).round().astype(int)]
    rows = -(-number // columns)
    height_cm = _ROW_CM * rows + _WORDS_OF_POINTS_CM
    figure, axes = style.panels(rows, columns, width_cm, height_cm, sharex=True, sharey=True)
    limit = max(microscope.under(condition).sampling.cutoff for _, condition in shown)
    q = np.linspace(0, limit, 1500)
    widest = max(lens.aperture * 1e-3 / ctf.wavelength(lens.energy) for lens, _ in shown)
    for ax in axes.flat[number:]:
        ax.set_axis_off()
    for ax, (lens, condition) in zip(axes.flat, shown, strict=False):
        _draw_envelope(ax, q, _largest_envelope(lens, q))
        _draw_transfer(ax, q, lens, style.TRANSFER, "transfer T(q)")
        _draw_spacings(ax, spacings or {})
        ax.set(xlim=(0, min(q[-1], _BEYOND * widest)), ylim=(-1.05, 1.05), yticks=[-1, 0, 1])
        first = f"{style.short(condition.defocus_nm)} nm, Cs {style.short(condition.cs_um)} µm"
        further = [style.value_label(name, value) for name, value in condition.further]
        second = ", ".join([f"{style.short(condition.aperture_mrad)} mrad", *further[:1]])
        ax.set_title("\n".join([first, second, *further[1:]]), fontsize=style.SMALL)
    style.letter(axes.flat[:number])
    _label_axes(figure, axes.flat[max(0, number - columns) : number], [lens for lens, _ in shown])
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=1 if style.is_narrow(width_cm) else 3,
    )
    return figure
