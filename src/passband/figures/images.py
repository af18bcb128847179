"""Figures of images and masks."""

from collections.abc import Iterable, Sequence
from itertools import cycle, product

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from passband import units
from passband.figures import style
from passband.grid import Condition

#: Colours of particles, in turn.
_PARTICLES = (style.FEATURES, style.PARAMETERS, style.SPECIMENS, style.TRANSFER, style.TRUTH)
#: Line styles of the outlines of particles. A particle's line style depends on the face of the
#: substrate that the particle is on.
OUTLINES = {"on top": "solid", "at the bottom": "dashed"}


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
    """Return a figure, the contact sheet of a specimen, with a row for each structure.

    All panels of a column have the same colour scale, so that structures can be compared.

    Args:
        potentials: (N, px, px), projected potentials [V·Å].
        waves: (N, px, px) complex, exit waves, with amplitude 1 in vacuum.
        images: (N, px, px), electron counts.
        instances: (N, 2, px, px), ground truth, see :func:`passband.specimens.masks.instances`. The
            ground truth is drawn as the semantic mask with an outline around each particle.
        condition: Id of the imaging condition of the images.
    """
    masks = instances.any(1)
    # The global phase of an exit wave is arbitrary, so the phase is shown relative to the mean of
    # the exit wave outside of the particles.
    beside = np.where(masks.all((-2, -1), keepdims=True), True, ~masks)
    mean = (waves * beside).sum((-2, -1), keepdims=True)
    columns = (
        ("projected potential\n[kV·Å]", potentials / 1e3, "magma", (0, 0.999)),
        ("exit wave:\namplitude", np.abs(waves), "gray", (0.001, 0.999)),
        ("exit wave:\nphase [rad]", np.angle(waves / mean), "magma", (0.001, 0.999)),
        ("image\n[electrons]", images, "gray", (0.005, 0.995)),
        ("mask and\nits particles", masks, "gray", None),
    )
    rows = len(masks)
    figure, axes = style.panels(rows, len(columns), style.PAGE_CM, 3.15 * rows + 2.5)
    side = masks.shape[-1] * pixel_size_A / units.A_PER_NM
    extent = (0, side, 0, side)
    for k, (title, values, palette, ends) in enumerate(columns):
        low, high = np.quantile(values, ends) if ends else (-1, 2)  # grey, so that colours are seen
        for n in range(rows):
            ax = axes[n, k]
            shown = ax.imshow(
                values[n].T, cmap=palette, origin="lower", extent=extent, vmin=low, vmax=high
            )
            ax.set(xticks=[], yticks=[])
            sns.despine(ax=ax, left=True, bottom=True)
        axes[0, k].set_title(title, fontsize=style.SMALL)
        bar = figure.colorbar(shown, ax=axes[:, k], location="bottom", aspect=20, pad=0.02)
        bar.ax.tick_params(labelsize=style.SMALL)
        bar.outline.set_visible(False)
    # The last column of the contact sheet has a legend in place of a colour bar.
    bar.ax.clear()
    bar.ax.set_axis_off()
    handles = [plt.Line2D([], [], color="0.3", ls=line) for line in OUTLINES.values()]
    bar.ax.legend(handles, OUTLINES, loc="upper center", ncols=1, fontsize=style.SMALL)
    for row, name, faces in zip(axes, structures, instances, strict=True):
        row[0].set_ylabel(name, fontsize=style.SMALL)
        _outline_particles(row[-1], faces, extent)
        scale_bar(row[0], side)
    style.letter(axes[0])
    figure.suptitle(
        f"{specimen} · image at {style.condition_label(Condition.parse(condition))}",
        fontsize=style.SMALL,
    )
    return figure


def masks(
    atoms: np.ndarray,
    particle: np.ndarray,
    radius: float,
    reach: float,
    instances: np.ndarray,
    pixel_size_A: float,
) -> Figure:
    """Return a figure of the four steps from a structure to its masks.

    The panels show the projected atoms, discs around the particles' atoms, the outlines after the
    morphological closing, and the semantic mask with the outlines of its particles.

    Args:
        atoms: (atoms, 2), projected positions [Å].
        particle: (atoms,) int, the number of the particle that each atom belongs to; 0 for atoms of
            the substrate.
        radius: Radius r of the discs [Å].
        reach: Radius r of the discs plus the radius of the morphological closing [Å].
        instances: (2, px, px), instance masks, see :func:`passband.specimens.masks.instances`.
    """
    figure, (axes,) = style.panels(1, 4, style.PAGE_CM, 4.9)
    side = instances.shape[-1] * pixel_size_A / units.A_PER_NM
    half = pixel_size_A / units.A_PER_NM / 2  # the position of a pixel is its centre
    extent = (-half, side - half, -half, side - half)
    colours = _particle_colours(range(1, particle.max() + 1))
    dot = 0.35
    around = side * np.array(list(product((-1, 0, 1), repeat=2)))
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
        ax.set_title(title, fontsize=style.SMALL)
        ax.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
        sns.despine(ax=ax, left=True, bottom=True)
    scale_bar(axes[3], side)
    style.letter(axes)
    return figure


def _particle_colours(numbers: Iterable[int]) -> dict[int, tuple]:
    """Return colours by which neighbouring particles differ. They have no other meaning."""
    return dict(zip(numbers, cycle(_PARTICLES), strict=False))


def _outline_particles(ax: plt.Axes, faces: np.ndarray, extent: tuple) -> None:
    """Draw an outline around each particle, with the line styles in :data:`OUTLINES`."""
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


def scale_bar(ax: plt.Axes, side: float) -> None:
    """Draw a scale bar in the lower left corner of a panel that shows a field `side` nm wide."""
    bar = min((b for b in (0.5, 1, 2, 5, 10) if b >= side / 6), default=10)
    edge = [withStroke(linewidth=2, foreground="black")]
    left = side * 0.05
    right = side * 0.05 + bar
    ax.plot([left, right], [side * 0.06] * 2, color="white", lw=3, path_effects=edge)
    text = f"{bar:g} nm"
    ax.text(left, side * 0.09, text, color="white", fontsize=style.SMALL, path_effects=edge)
