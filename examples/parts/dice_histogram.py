"""A figure: how often each Dice occurs, at home and under other conditions.

The table has the Dice of each image, so the figure is drawn from it. Copy this file into the folder
`parts/` beside your study's file: the next run draws the figure, and the page shows it.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from passband.figures import style
from passband.matrices.matrix import Matrix
from passband.parts import figure

_EDGES = np.linspace(0, 1, 21)


@figure(
    inputs=("table",),
    place="results",
    caption=(
        "**How often each Dice occurs.** Share of test images by their Dice, of all networks under "
        "the condition of their training, and of the same networks under other conditions."
    ),
)
def dice_histogram(matrices: Sequence[Matrix], width_cm: float) -> Figure:
    """Return histograms of the Dice of all test images of a study."""
    drawn, axes = style.panels(1, 1, width_cm, 6.5)
    axes = axes[0, 0]
    at_home = []
    elsewhere = []
    for matrix in matrices:
        is_home = np.equal.outer(matrix.rows, matrix.columns)
        for row, _ in enumerate(matrix.rows):
            dice = matrix.images(row)  # replica, test, structure
            at_home.append(dice[:, is_home[row]].ravel())
            elsewhere.append(dice[:, ~is_home[row]].ravel())
    sides = [np.concatenate(at_home), np.concatenate(elsewhere)]
    sides = [dice[np.isfinite(dice)] for dice in sides]  # missing networks are NaN
    axes.hist(
        sides,
        _EDGES,
        weights=[np.full(dice.size, 1 / max(1, dice.size)) for dice in sides],
        color=[style.OWN, style.OTHER],
        label=[f"at home (n = {sides[0].size:,})", f"other conditions (n = {sides[1].size:,})"],
    )
    axes.set(xlabel="Dice of an image", ylabel="share of images", xlim=(0, 1))
    drawn.legend(loc="outside lower center", ncols=1 if style.is_narrow(width_cm) else 2)
    return drawn
