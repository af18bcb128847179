"""Words about networks that did not learn, see :mod:`passband.matrices.learned`."""

from collections.abc import Sequence

import numpy as np

from passband.matrices.matrix import Matrix

#: The mark of networks that did not learn, in tables.
MARK = "†"
#: What helps, in a line.
REMEDY = "train with more steps (training.epochs) or structures (study.structures)"
#: Largest number of training conditions that a sentence names.
_MOST = 4


def sentence(matrices: Sequence[Matrix]) -> str:
    """Return which networks did not learn, and what follows; "" if there are none.

    Args:
        matrices: All matrices of a study. If they do not say which networks learned, none failed.
    """
    source = matrices[0].source if matrices else None
    if source is None or not source.knows_learned or not source.unlearned.any():
        return ""
    found = source.unlearned
    number = int(found.sum())
    learned = found.attrs["learned"]
    if not learned:
        return (
            "No network learned: under its own training condition, none is better than a mask of "
            f"all pixels. So nothing is concluded or recommended: {REMEDY}."
        )
    tested = source.matrices[0]
    failed = np.flatnonzero(found.any([*{*found.dims} - {"train"}]).values)
    ids = [tested.rows[row] for row in failed]
    words = [id if id in tested.mixtures else tested.axes.parse(id).words for id in ids]
    named = "; ".join(words[:_MOST])
    more = f"; and {len(ids) - _MOST:,} more conditions" if len(ids) > _MOST else ""
    return (
        f"{number:,} of {number + learned:,} networks did not learn: under their own training "
        f"condition, they are no better than a mask of all pixels ({named}{more}). They are left "
        f"out of all conclusions and recommendations: {REMEDY}."
    )


def is_marked(matrix: Matrix) -> np.ndarray:
    """Return which rows have a network that did not learn, (row,); none if it is not known."""
    if not matrix.source.knows_learned:
        return np.zeros(len(matrix.rows), dtype=bool)
    return matrix.unlearned.any(1)
