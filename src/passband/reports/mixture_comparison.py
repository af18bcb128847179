"""Networks of mixtures beside networks of single conditions, which are called specialists here.

A network that is trained over many conditions (domain randomisation) is the baseline that every
specialist must beat.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from passband.grid import is_condition
from passband.matrices.leaving import group_names, groups, specimen_label
from passband.reports.markdown import number, table


@dataclass(frozen=True)
class Comparison:
    """A mixture and all specialists of one specimen, architecture and test specimen.

    Attributes:
        id: The mixture's id.
        own: Mean Dice over the mixture's own conditions; NaN if it was not measured.
        mean, worst: Mean and lowest Dice over all test conditions.
        best: Id of the training condition of the specialist with the highest mean Dice over all
            test conditions, or "" without specialists.
        best_mean: This highest mean Dice.
        better, specialists: The number of specialists with a higher mean Dice than the mixture's,
            and of all.
        gap: Mean over test conditions of M(j, j) − M(i, j): the Dice of the specialist that was
            trained under the test condition, minus that of the mixture's network. NaN without such
            specialists.
    """

    networks: str
    id: str
    own: float
    mean: float
    worst: float
    best: str
    best_mean: float
    better: int
    specialists: int
    gap: float


def comparisons(metrics: xr.Dataset) -> Iterator[Comparison]:
    """Yield a comparison for each group of networks and each of its mixtures.

    Mixtures without networks are left out.

    Args:
        metrics: OOD metrics, see :func:`passband.analysis.ood.metrics`.
    """
    ids = [str(id) for id in metrics.train.values]
    mixed = [k for k, id in enumerate(ids) if not is_condition(id)]
    single = [k for k, id in enumerate(ids) if is_condition(id)]
    if not mixed:
        return
    for _, cells in groups(metrics):
        specimen, architecture, test_specimen = group_names(cells).values()
        name = f"{specimen_label(specimen, test_specimen)}, {architecture}"
        dice = cells.dice.transpose("train", "test").values.astype(float)
        gaps = cells.gap_test.transpose("train", "test").values.astype(float)
        means = dice.mean(1)
        known = [k for k in single if np.isfinite(means[k])]
        best = max(known, key=lambda k: means[k], default=None)
        for row in mixed:
            if not np.isfinite(means[row]):
                continue
            finite = gaps[row][np.isfinite(gaps[row])]
            yield Comparison(
                name,
                ids[row],
                float(cells.id.values[row]),
                float(means[row]),
                float(dice[row].min()),
                "" if best is None else ids[best],
                np.nan if best is None else float(means[best]),
                sum(bool(means[k] > means[row]) for k in known),
                len(known),
                float(finite.mean()) if len(finite) else np.nan,
            )


def text(metrics: xr.Dataset) -> str:
    """Return the comparisons as a Markdown table with a line about it; "" without mixtures."""
    rows = [
        [
            each.networks,
            each.id,
            *(number(v) for v in (each.own, each.mean, each.worst, each.gap, each.best_mean)),
            f"{each.better} of {each.specialists}",
        ]
        for each in comparisons(metrics)
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
