"""Networks of mixtures beside networks of single conditions, which are called specialists here.

A network that is trained over many conditions (domain randomisation) is the baseline that every
specialist must beat.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from passband.grid import Condition
from passband.matrices.matrix import Matrix
from passband.reports.markdown import number, table


@dataclass(frozen=True)
class Comparison:
    """A mixture and all specialists of one specimen, architecture and test specimen.

    Attributes:
        id: The mixture's id.
        home: Mean Dice over the mixture's own conditions; NaN if it was not measured.
        mean, worst: Mean and lowest Dice over all test conditions.
        best: Training condition of the specialist with the highest mean Dice over all test
            conditions; None without specialists.
        best_mean: This highest mean Dice.
        better, specialists: The number of specialists with a higher mean Dice than the mixture's,
            and of all.
        gap: Mean over test conditions of M(j, j) − M(i, j): the Dice of the specialist that was
            trained under the test condition, minus that of the mixture's network. NaN without such
            specialists.
    """

    networks: str
    id: str
    home: float
    mean: float
    worst: float
    best: Condition | None
    best_mean: float
    better: int
    specialists: int
    gap: float


def comparisons(matrices: Sequence[Matrix]) -> Iterator[Comparison]:
    """Yield a comparison for each mixture of each matrix.

    Mixtures without networks are left out.

    Args:
        matrices: Matrices with OOD metrics.
    """
    for matrix in matrices:
        if not matrix.mixtures:
            continue
        cells = matrix.metrics
        dice = cells.dice.transpose("train", "test").values.astype(float)
        gaps = cells.gap_test.transpose("train", "test").values.astype(float)
        means = dice.mean(1)
        known = [k for k in np.flatnonzero(~matrix.is_mixture) if np.isfinite(means[k])]
        best = max(known, key=lambda k: means[k], default=None)
        for row in np.flatnonzero(matrix.is_mixture):
            if not np.isfinite(means[row]):
                continue
            finite = gaps[row][np.isfinite(gaps[row])]
            yield Comparison(
                networks=f"{matrix.name.specimens}, {matrix.architecture}",
                id=matrix.rows[row],
                home=float(cells.id.values[row]),
                mean=float(means[row]),
                worst=float(dice[row].min()),
                best=None if best is None else matrix.axes.parse(matrix.rows[best]),
                best_mean=np.nan if best is None else float(means[best]),
                better=sum(bool(means[k] > means[row]) for k in known),
                specialists=len(known),
                gap=float(finite.mean()) if len(finite) else np.nan,
            )


def text(matrices: Sequence[Matrix]) -> str:
    """Return the comparisons as a Markdown table with a line about it; "" without mixtures."""
    rows = [
        [
            each.networks,
            each.id,
            *(number(v) for v in (each.home, each.mean, each.worst, each.gap, each.best_mean)),
            f"{each.better} of {each.specialists}",
        ]
        for each in comparisons(matrices)
    ]
    if not rows:
        return ""
    head = ["networks", "mixture", "id", "mean", "worst", "gap_test", "best single", "better"]
    return (
        f"{table(head, rows)}\n\n"
        "`mean` and `worst` are over all test conditions. `best single` is the highest such mean "
        "of a network of one training condition, and `better` is the number of training conditions "
        "whose mean is above the mixture's."
    )
