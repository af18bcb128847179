"""The first picture of the docs: particles under four settings of a microscope, two networks."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from passband.figures import style


@dataclass(frozen=True)
class Prediction:
    """What a network predicts for the images of the overview.

    Attributes:
        trained: Number of the setting under which the network was trained.
        masks: (settings, px, px) bool, pixels that the network classifies as particle, for each
            setting.
        dice: (settings,), Dice of each mask.
    """

    trained: int
    masks: np.ndarray
    dice: np.ndarray


def overview(
    settings: Sequence[str],
    images: np.ndarray,
    truth: np.ndarray,
    networks: Sequence[Prediction],
) -> Figure:
    """Return the figure of images of one structure under several settings, and of masks.

    The first row has the images. Each further row has the masks of one network over the images. A
    mask is blue under the network's training setting, and orange elsewhere. The true outlines are
    yellow.

    Args:
        settings: Words for each setting of the microscope.
        images: (settings, px, px).
        truth: (px, px) bool, ground truth mask.
    """
    style.set_theme()
    rows, columns = 1 + len(networks), len(settings)
    side_cm = (style.PAGE_CM - 2.2) / columns - 0.15
    height_cm = rows * (side_cm + 0.15) + len(networks) * 0.5 + 2.4
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(style.inches(style.PAGE_CM), style.inches(height_cm)),
        squeeze=False,
        layout="constrained",
    )
    for ax, words, image in zip(axes[0], settings, images, strict=True):
        _show(ax, image)
        ax.set_title(words, fontsize=style.MEDIUM)
    axes[0, 0].set_ylabel("what the\nmicroscope sees")
    for row, network in zip(axes[1:], networks, strict=True):
        trained = settings[network.trained].replace("\n", " ")
        row[0].set_ylabel(f"network trained with\n{trained}")
        for k, (ax, image) in enumerate(zip(row, images, strict=True)):
            own = k == network.trained
            colour = style.OWN if own else style.OTHER
            _show(ax, image)
            mask = np.zeros((*truth.T.shape, 4))
            mask[network.masks[k].T] = to_rgba(colour, 0.6)
            ax.imshow(mask, origin="lower")
            if truth.any() and not truth.all():
                # Like the image, so that the middle of a pixel is at a whole number.
                extent = (-0.5, truth.shape[0] - 0.5, -0.5, truth.shape[1] - 0.5)
                ax.contour(
                    truth.T,
                    [0.5],
                    colors=style.TRUTH,
                    linewidths=1.6,
                    origin="lower",
                    extent=extent,
                )
            words = f"Dice {network.dice[k]:.2f}{', trained here' if own else ''}"
            ax.set_xlabel(words, color=colour, labelpad=3, fontweight="bold")
    handles = [
        plt.Rectangle((0, 0), 1, 1, color=to_rgba(colour, 0.6), label=f"found under {words}")
        for colour, words in (
            (style.OWN, "the training setting"),
            (style.OTHER, "another setting"),
        )
    ]
    handles.append(plt.Line2D([], [], color=style.TRUTH, lw=2, label="true outline"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _show(ax: Axes, image: np.ndarray) -> None:
    low, high = np.quantile(image, [0.005, 0.995])
    ax.imshow(image.T, cmap="gray", origin="lower", vmin=low, vmax=high)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
