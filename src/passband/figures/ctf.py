"""The figure of the transfer functions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from passband.config import Microscope
from passband.figures import style
from passband.figures.ctf_of_points import curves_of_points
from passband.grid import MAIN_AXES, Condition, has_few_neighbours
from passband.optics import ctf

#: Height of a row of panels, and of the words around them [cm].
_ROW_CM, _WORDS_CM = 3.3, 1.9
#: The frequency axis ends at the widest aperture times this number.
_BEYOND = 1.1
#: Lines of the lattice spacings, one for each specimen.
_LINES = (":", "-.", (0, (1, 3)), (0, (5, 2, 1, 2, 1, 2)))


def ctf_curves(
    conditions: Sequence[Condition],
    microscope: Microscope,
    spacings: Mapping[str, Sequence[float]] | None = None,
    width_cm: float = style.PAGE_CM,
) -> Figure:
    """Return the figure of transfer and envelope, with a panel for each defocus and Cs.

    Transfer and envelope are drawn against spatial frequency. At most four values of defocus and
    four values of Cs are shown, or two of each in a narrow figure. The curves of all panels are for
    the widest aperture, which the legend names. All other parameters are those of the first
    condition. Dashed lines show where the narrower apertures end. Thin lines show the lattice
    spacings of specimens. For a lens that is not round, the curves are along azimuth 0, and the
    label of the frequency axis gives this azimuth. If the conditions are points, the figure is that
    of :func:`passband.figures.ctf_of_points.curves_of_points`.

    Parameters
    ----------
    conditions : sequence of Condition
        The training conditions.
    microscope : Microscope
        The microscope.
    spacings : mapping of str to sequence of float, optional
        Lattice spacings [Å] by the name of the specimen.
    width_cm : float
        Width of the figure [cm].
    """
    if has_few_neighbours([tuple(getattr(c, n) for n in MAIN_AXES) for c in conditions]):
        return curves_of_points(conditions, microscope, spacings, width_cm)
    style.set_theme()
    lens = ("defocus_nm", "cs_um", "aperture_mrad")
    by = {axis: sorted({getattr(c, axis) for c in conditions}) for axis in lens}
    first = min(conditions)
    most = 2 if style.is_narrow(width_cm) else style.MAX_PANELS
    defoci, spherical = (style.evenly_spaced(by[name], most) for name in ("defocus_nm", "cs_um"))
    apertures = by["aperture_mrad"]
    lam = ctf.wavelength(microscope.under(first).energy_eV)
    q = np.linspace(0, microscope.under(first).sampling.cutoff, 1500)
    end = min(q[-1], _BEYOND * apertures[-1] * 1e-3 / lam)
    entries = 2 + (len(apertures) > 1) + len(spacings or {})
    lines = entries if style.is_narrow(width_cm) else -(-entries // 2)
    height_cm = _ROW_CM * len(spherical) + _WORDS_CM + 0.45 * lines
    figure, axes = plt.subplots(
        len(spherical),
        len(defoci),
        figsize=(style.inches(width_cm), style.inches(height_cm)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    widest = f"transfer T(q), aperture {style.number(apertures[-1])} mrad"
    cuts = ", ".join(style.number(aperture) for aperture in apertures[:-1])
    for row, cs in zip(axes, spherical, strict=True):
        for ax, defocus in zip(row, defoci, strict=True):
            optics = microscope.optics(
                replace(first, defocus_nm=defocus, cs_um=cs, aperture_mrad=apertures[-1])
            )
            envelope = ctf.envelope(optics, q)
            ax.axhline(0, color="0.7", lw=0.6, zorder=0)
            ax.fill_between(q, -envelope, envelope, color=style.NEUTRAL, alpha=0.12, lw=0)
            ax.plot(q, envelope, color=style.NEUTRAL, lw=0.8, label="envelope")
            ax.plot(q, ctf.transfer(optics, q), color=style.TRANSFER, lw=1.3, label=widest)
            for k, aperture in enumerate(apertures[:-1]):
                ax.axvline(
                    aperture * 1e-3 / lam,
                    color=style.PARAMETERS,
                    ls="--",
                    lw=1.2,
                    label=f"narrower apertures end: {cuts} mrad" if k == 0 else None,
                )
            for number, (name, distances) in enumerate((spacings or {}).items()):
                values = ", ".join(f"{distance:.2f}" for distance in distances)
                for k, distance in enumerate(distances):
                    ax.axvline(
                        1 / distance,
                        color="0",
                        ls=_LINES[number % len(_LINES)],
                        lw=0.8,
                        label=f"lattice spacings of {name}: {values} Å" if k == 0 else None,
                    )
            ax.set(xlim=(0, end), ylim=(-1.05, 1.05), yticks=[-1, 0, 1])
    for ax, defocus in zip(axes[0], defoci, strict=True):
        ax.set_title(f"defocus {style.short(defocus)} nm", fontsize=style.SMALL)
    for ax, cs in zip(axes[:, -1], spherical, strict=True):
        words = f"Cs {style.short(cs)} µm"
        ax.annotate(words, (1.02, 0.5), xycoords="axes fraction", va="center", rotation=270)
    figure.supxlabel("spatial frequency q (1/Å)", fontsize=style.MEDIUM)
    along = "" if optics.round else " along azimuth 0"
    meaning = "atoms are dark below 0, bright above 0"
    figure.supylabel(f"transfer T(q){along}\n{meaning}", fontsize=style.SMALL)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=1 if style.is_narrow(width_cm) else 2,
    )
    return figure
