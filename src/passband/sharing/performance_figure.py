"""The picture of a card: a network's measured Dice over defocus and dose."""

import textwrap

import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from passband.figures import style
from passband.grid import Condition, along
from passband.sharing import performance

#: Largest number of cells in a panel whose values are written into the cells.
_MAX_WRITTEN = 48


def dice_over_defocus_and_dose(dice: xr.DataArray, trained: Condition) -> Figure:
    """Return the figure of mean Dice, with a panel for each Cs and aperture.

    In each panel, a cell shows the mean Dice under one test condition. At most four values of Cs
    and four apertures are shown. A frame marks the training condition. Combinations of parameters
    that were not tested are grey. If the study has further axes, the title has their values.

    Args:
        dice: (test,), mean Dice by the id of the test condition, under conditions with the
            network's own values of further axes, see
            :func:`passband.sharing.performance.as_trained`.
        trained: The training condition.
    """
    style.set_theme()
    values = dict(zip(along(dice, "test"), dice.values.tolist(), strict=True))
    axes = {
        name: sorted({getattr(condition, name) for condition in values})
        for name in ("defocus_nm", "cs_um", "aperture_mrad", "dose_e_per_A2")
    }
    defoci, doses = axes["defocus_nm"], axes["dose_e_per_A2"]
    spherical = _shown(axes["cs_um"], trained.cs_um)
    apertures = _shown(axes["aperture_mrad"], trained.aperture_mrad)
    width = min(max(1.6, 0.42 * len(defoci)), 4)
    height = min(max(1.2, 0.3 * len(doses)), 3)
    figure, panels = plt.subplots(
        len(spherical),
        len(apertures),
        figsize=(width * len(apertures) + 1.2, (height + 0.35) * len(spherical) + 0.5),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    written = len(defoci) * len(doses) <= _MAX_WRITTEN and len(defoci) <= 10
    for row, cs in zip(panels, spherical, strict=True):
        for panel, aperture in zip(row, apertures, strict=True):
            cells = np.array(
                [
                    [
                        values.get(Condition(d, cs, aperture, dose, trained.further), np.nan)
                        for d in defoci
                    ]
                    for dose in doses
                ]
            )
            sns.heatmap(
                cells,
                ax=panel,
                cmap=style.PALETTE,
                vmin=0,
                vmax=1,
                annot=written,
                fmt=".2f",
                annot_kws={"size": style.SMALL},
                cbar=False,
                xticklabels=[style.number(value) for value in defoci],
                yticklabels=[style.number(value) for value in doses],
            )
            panel.set_facecolor("0.8")
            panel.tick_params(labelsize=style.SMALL, length=0)
            panel.set_title(
                f"Cs {style.number(cs)} µm, aperture {style.number(aperture)} mrad",
                fontsize=style.SMALL,
            )
            if (cs, aperture) == (trained.cs_um, trained.aperture_mrad) and trained in values:
                place = defoci.index(trained.defocus_nm), doses.index(trained.dose_e_per_A2)
                frame = plt.Rectangle(place, 1, 1, fill=False, edgecolor=style.OWN, lw=2)
                frame.set_clip_on(False)
                panel.add_patch(frame)
    panels[0, 0].invert_yaxis()  # all panels share the axis
    if words := performance.further_words(trained, dice):
        figure.suptitle(textwrap.fill(words, 50))
    figure.supxlabel("defocus [nm]", fontsize=style.MEDIUM)
    figure.supylabel("dose [e/Å²]", fontsize=style.MEDIUM)
    figure.colorbar(panels[0, 0].collections[0], ax=panels, label="mean Dice", shrink=0.8)
    return figure


def _shown(values: list[float], trained: float) -> list[float]:
    """Return at most four values, with the value of the training condition if it was tested."""
    shown = style.evenly_spaced(values)
    if trained in values and trained not in shown:
        nearest = min(range(len(shown)), key=lambda place: abs(shown[place] - trained))
        shown[nearest] = trained
    return shown
