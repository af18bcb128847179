"""The figure of the transfer functions."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from passband.config import Microscope
from passband.figures import style
from passband.grid import AXES, Condition
from passband.optics import ctf


def ctf_curves(conditions: Sequence[Condition], microscope: Microscope, palette: str) -> Figure:
    """Return the figure of transfer and envelope, with a panel for each defocus and Cs.

    Transfer and envelope are drawn against spatial frequency. At most four values of defocus and
    four values of Cs are shown. The curves of all panels are for the widest aperture. Dotted lines
    show the cutoffs of the narrower apertures. For a lens that is not round, the curves are along
    azimuth 0, and the label of the frequency axis gives this azimuth.
    """
    style.set_theme()
    by = {axis: sorted({getattr(c, axis) for c in conditions}) for axis in AXES}
    defoci, spherical = style.evenly_spaced(by["defocus_nm"]), style.evenly_spaced(by["cs_um"])
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
    lam = ctf.wavelength(microscope.energy_eV)
    colour, edge, cut = sns.color_palette(palette, 3)
    for row, cs in zip(axes, spherical, strict=True):
        for ax, defocus in zip(row, defoci, strict=True):
            optics = microscope.optics(
                Condition(defocus, cs, by["aperture_mrad"][-1], by["dose_e_per_A2"][0])
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
