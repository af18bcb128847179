"""The figure of examples: images of a network, with outlines of the truth and of predictions."""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from passband import units
from passband.figures import style
from passband.figures.images import scale_bar
from passband.figures.nested_axes import text_cm
from passband.grid import Condition
from passband.matrices.matrix import Matrix
from passband.parts import figure

#: Lines of the figure of examples: words, colour, line style and width [pt].
_EXAMPLES = {
    "truth": ("truth", style.TRUTH, "solid", 2.4),
    "home": ("the network, at its training condition", style.OWN, "solid", 1.5),
    "other": ("the network, at another condition", style.OTHER, "solid", 1.5),
    "there": ("the network trained there", style.OWN, (0, (3, 1)), 1.5),
}


@dataclass(frozen=True)
class Examples:
    """Test images of a network under several conditions, and what it predicts.

    All mappings have the id of the test condition as their key. The first test condition is that of
    the training.

    Attributes:
        train: Id of the training condition.
        images: Images, each (N, px, px).
        masks: Ground truth masks of the images, (N, px, px).
        predictions: Pixels that the network classifies as particle, each (N, px, px) bool.
        scores: Dice of each image, (N,).
        there: Predictions and Dice of the network that was trained under the test condition, each
            ((N, px, px) bool, (N,)). Conditions without such a network are left out.
        pixel_size_A: Side of a pixel [Å].
        labels: The label of each test condition.
    """

    train: str
    images: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray]
    predictions: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]
    there: Mapping[str, tuple[np.ndarray, np.ndarray]]
    pixel_size_A: Mapping[str, float]
    labels: Mapping[str, str]


def shown_conditions(matrix: Matrix, train: str) -> list[Condition]:
    """Return the conditions of the figure of examples, each once.

    They are the training condition of a row, the test condition with the lowest Dice among those
    with its dose, and the one with the lowest Dice of all.
    """
    home = matrix.axes.parse(train)
    dice = dict(zip(matrix.test, matrix.dice.values[matrix.row(train)], strict=True))
    same_dose = [tested for tested in dice if tested.dose_e_per_A2 == home.dose_e_per_A2]
    worst = [min(among, key=dice.__getitem__) for among in (same_dose, dice) if among]
    return list(dict.fromkeys([home, *worst]))


@figure(
    inputs=("examples",),
    place="results",
    memory_mb=3000,
    caption=(
        "**Images that a network sees, and what it finds.** The columns are the training "
        "condition, the worst condition of the same dose, and the worst of all. If the network "
        "trained there (dashed) fails too, the image shows no more than noise. Each Dice is of one "
        "image. Grey values go from an image's 0.5% to its 99.5% quantile."
    ),
)
def examples(seen: Examples, width_cm: float = style.PAGE_CM) -> Figure:
    """Return a figure of test images under several conditions, with true and predicted outlines.

    Each column has a test condition. The figure shows the outlines of one network. It also shows
    those of the network that was trained under the column's condition. If no network can see a
    particle under a condition, then the network that was trained there does not find it either.
    """
    there = {id: found for id, found in seen.there.items() if id != seen.train}
    rows = len(seen.masks[seen.train])
    columns = len(seen.images)
    labels = {id: _wrapped(words, width_cm / columns) for id, words in seen.labels.items()}
    # One or two images are not drawn as large as the page.
    panel_cm = min(5.4, (width_cm - 0.2) / columns - 0.15)
    lines = 1 + max(label.count("\n") + 1 for label in labels.values())
    lines += 4 if style.is_narrow(width_cm) else 2
    height_cm = (panel_cm + 0.12) * rows + 0.4 * lines + 0.5
    figure, axes = style.panels(rows, columns, width_cm, height_cm)
    sides = {
        id: seen.masks[id].shape[-1] * seen.pixel_size_A[id] / units.A_PER_NM for id in seen.images
    }
    used = {}
    for k, id in enumerate(seen.images):
        is_home = id == seen.train
        extent = (0, sides[id], 0, sides[id])
        for n in range(rows):
            ax = axes[n, k]
            low, high = np.quantile(seen.images[id][n], [0.005, 0.995])
            ax.imshow(
                seen.images[id][n].T,
                cmap="gray",
                origin="lower",
                extent=extent,
                vmin=low,
                vmax=high,
            )
            lines = [
                ("truth", seen.masks[id][n]),
                ("home" if is_home else "other", seen.predictions[id][n]),
            ]
            dice = [("home" if is_home else "other", seen.scores[id][n])]
            if id in there:
                lines.append(("there", there[id][0][n]))
                dice.append(("there", there[id][1][n]))
            for kind, outline in lines:
                used[kind] = True
                _outline(ax, outline, kind, extent)
            for place, (kind, value) in enumerate(dice):
                ax.text(
                    0.03,
                    0.97 - 0.46 / panel_cm * place,
                    f"Dice {value:.2f}",
                    transform=ax.transAxes,
                    va="top",
                    fontsize=style.SMALL,
                    color="white",
                    bbox={"fc": _EXAMPLES[kind][1], "lw": 0, "pad": 1.5},
                )
            ax.set(xticks=[], yticks=[])
            sns.despine(ax=ax, left=True, bottom=True)
        where = "trained and tested at" if is_home else "tested at"
        axes[0, k].set_title(f"{where}\n{labels[id]}", fontsize=style.SMALL)
        if k == 0 or sides[id] != sides[seen.train]:
            scale_bar(axes[-1, k], sides[id])
    style.letter(axes[0])
    # A kind of line that is in no panel has no entry.
    handles = [
        plt.Line2D([], [], color=colour, ls=line, lw=1.4, label=words)
        for kind, (words, colour, line, _) in _EXAMPLES.items()
        if kind in used
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=1 if style.is_narrow(width_cm) else 2,
    )
    return figure


def _wrapped(label: str, width_cm: float) -> str:
    """Return the label of a condition in lines that are not longer than a width [cm]."""
    lines: list[str] = []
    for part in label.split(" · "):
        if lines and text_cm(f"{lines[-1]} · {part}") < width_cm - 0.3:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return "\n".join(lines)


def _outline(ax: plt.Axes, outline: np.ndarray, kind: str, extent: tuple) -> None:
    """Draw the outline of a mask, unless the mask is empty or has all pixels."""
    if outline.any() and not outline.all():
        _, colour, line, width = _EXAMPLES[kind]
        contours = ax.contour(
            outline.T,
            [0.5],
            colors=colour,
            linewidths=width,
            linestyles=[line],
            origin="lower",
            extent=extent,
        )
        # A pale edge separates the line from the noise of the image.
        contours.set_path_effects(
            [withStroke(linewidth=width + 0.9, foreground="white", alpha=0.6)]
        )
