"""The figure of an image's Thon rings."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from passband.figures import style
from passband.micrographs.rings import ring_fit
from passband.units import A_PER_NM, A_PER_UM

if TYPE_CHECKING:
    from passband.micrographs.rings.lens import Lens

#: Number of zeros of the transfer that are drawn.
_ZEROS = 12


def thon_rings(lens: "Lens") -> Figure:
    """Return the figure of an image's rings.

    The left panel has the mean spectrum over the azimuth, its fit, and the part N of the fit that
    has no rings. The right panel has the spectrum by frequency and azimuth, divided by N + E/2, and
    the zeros of the fitted transfer. If no rings are visible, the best fit is drawn without zeros.
    """
    found = lens.measurement
    image = found.image
    wide = found.image.spectrum
    figure, ((left, right),) = style.panels(1, 2, style.PAGE_CM, 7.5)
    colour = style.NEUTRAL
    fitted = style.TRANSFER
    zero = style.TRUTH
    radial = wide.within(image.low / 2, wide.q.max()).merged()
    left.semilogy(radial.q, radial.power, color=colour, lw=0.8, label="spectrum")
    if found.is_visible:
        fit = found.of_sign(lens.signs[0])[0].fit
        (model,) = fit.models
        own = fit.own[0]
        smooth, envelope = model.smooth_and_envelope(fit.coefficients[0])
        cells = model.spectrum
        terms = ring_fit.phase_terms(lens.settings.energy_eV, cells.q, cells.azimuth)
        expected = smooth + envelope * ring_fit.rings(terms, own, fit.shared)
        for values, label, line in ((expected, "fit", "-"), (smooth, "without rings", ":")):
            q, mean = _radial(cells, values)
            left.semilogy(q, mean, color=fitted, ls=line, lw=1, label=label)
        middle = smooth + envelope / 2
        contrast = cells.power / middle
        high = float(cells.q.max())
    else:
        cells = wide.within(image.low, image.high)
        contrast = cells.power / np.interp(cells.q, radial.q, radial.power)
        high = image.high
    sectors = np.unique(cells.azimuth)
    rings = np.rint(cells.q / cells.step).astype(int)
    table = np.full((len(sectors), rings.max() + 1), np.nan)
    table[np.searchsorted(sectors, cells.azimuth), rings] = contrast
    right.imshow(
        table,
        aspect="auto",
        origin="lower",
        cmap="gray",
        vmin=0,
        vmax=2,
        extent=(-0.5 * cells.step, (table.shape[1] - 0.5) * cells.step, 0, 180),
        interpolation="nearest",
    )
    if found.is_visible:
        azimuth = np.linspace(0, np.pi, 181)
        for number, q in enumerate(_zeros(lens, fit, azimuth, high)):
            right.plot(
                q,
                np.degrees(azimuth),
                color=zero,
                lw=1,
                label="zeros of the fit" if number == 0 else None,
            )
    left.set(
        xlim=(0, 1.6 * high), xlabel="spatial frequency q [1/Å]", ylabel="power [arbitrary unit]"
    )
    shown = radial.power[radial.q < 1.6 * high]
    left.set_ylim(0.6 * shown.min(), 2 * shown.max())
    left.yaxis.set_major_formatter(lambda value, _: style.number(value))
    right.set(
        xlim=(0, high), ylim=(0, 180), xlabel="spatial frequency q [1/Å]", ylabel="azimuth [°]"
    )
    handles, names = (
        [entry for ax in (left, right) for entry in ax.get_legend_handles_labels()[k]]
        for k in range(2)
    )
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    style.letter((left, right))
    figure.suptitle(_title(lens), fontsize=style.MEDIUM)
    return figure


def _radial(cells, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ring = np.rint(cells.q / cells.step).astype(int)
    number = np.bincount(ring, cells.number)
    used = number > 0
    return tuple(
        np.bincount(ring, v * cells.number)[used] / number[used] for v in (cells.q, values)
    )


def _zeros(lens: "Lens", fit, azimuth: np.ndarray, high: float) -> list[np.ndarray]:
    """Return the frequencies of the transfer's zeros (azimuths,) up to a frequency [1/Å]."""
    q = np.linspace(0, high, 4000)
    lines = np.full((_ZEROS, len(azimuth)), np.nan)
    for k, phi in enumerate(azimuth):
        terms = ring_fit.phase_terms(lens.settings.energy_eV, q, np.full_like(q, phi))
        chi = fit.own[0] @ terms[[0, 2, 3]] + fit.shared.cs * terms[1] - fit.shared.phase
        crossings = q[1:][np.diff(np.floor(chi / np.pi)) != 0]
        crossings = crossings[crossings > lens.measurement.image.low][:_ZEROS]
        lines[: len(crossings), k] = crossings
    return [line for line in lines if np.isfinite(line).all()]


def _title(lens: "Lens") -> str:
    if not lens.measurement.is_visible:
        return f"{lens.name}: no rings"
    defocus = lens.measurement.defocus_A(lens.signs[0])[0] / A_PER_NM
    cs = lens.measurement.cs_A / A_PER_UM
    return f"{lens.name}: defocus {style.number(defocus, '.1f')} nm, Cs {style.short(cs)} µm"
