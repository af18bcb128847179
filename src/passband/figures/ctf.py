"""The figure of the transfer functions."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.figure import Figure

from passband.axes import MAIN_AXES, Axes
from passband.config import Microscope
from passband.figures import style
from passband.figures.ctf_of_points import (
    BEYOND,
    curves_of_points,
    draw_envelope,
    draw_spacings,
    draw_transfer,
    label_axes,
    largest_envelope,
)
from passband.grid import Condition, has_few_neighbours
from passband.optics import ctf

#: Height of a row of panels, and of the words around them [cm].
_ROW_CM, _WORDS_CM = 3.3, 1.9
#: Colours of the lenses of a panel.
_COLOURS = (style.TRANSFER, style.OTHER, style.OWN, style.SPECIMENS)


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
    transfer over all azimuths. If the conditions are points, the figure is that of
    :func:`passband.figures.ctf_of_points.curves_of_points`.

    Args:
        conditions: The training conditions.
        spacings: Lattice spacings [Å] by the name of the specimen.
    """
    if has_few_neighbours([tuple(getattr(c, n) for n in MAIN_AXES) for c in conditions]):
        return curves_of_points(conditions, microscope, spacings, width_cm)
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
    end = min(q[-1], BEYOND * apertures[-1] * 1e-3 / wavelengths[0])
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
            envelope = np.max([largest_envelope(optics, q) for optics in drawn.values()], 0)
            draw_envelope(ax, q, envelope)
            for (words, optics), colour in zip(drawn.items(), _COLOURS, strict=False):
                label = ", ".join(filter(None, ["transfer T(q)", widest, words]))
                draw_transfer(ax, q, optics, colour, label)
            for k, (aperture, lam) in enumerate(product(apertures[:-1], wavelengths)):
                ax.axvline(
                    aperture * 1e-3 / lam,
                    color=style.PARAMETERS,
                    ls="--",
                    lw=1.2,
                    label=f"narrower apertures end: {cuts} mrad" if k == 0 else None,
                )
            draw_spacings(ax, spacings or {})
            ax.set(xlim=(0, end), ylim=(-1.05, 1.05), yticks=[-1, 0, 1])
    for ax, defocus in zip(axes[0], defoci, strict=True):
        ax.set_title(f"defocus {style.short(defocus)} nm", fontsize=style.SMALL)
    for ax, cs in zip(axes[:, -1], spherical, strict=True):
        words = f"Cs {style.short(cs)} µm"
        ax.annotate(words, (1.02, 0.5), xycoords="axes fraction", va="center", rotation=270)
    label_axes(figure, drawn.values())
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
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
