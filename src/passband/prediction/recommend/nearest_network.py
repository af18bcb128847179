"""The nearest network in parameters by range, which a user can choose without any model."""

from collections.abc import Sequence

import numpy as np

from passband.grid import Condition
from passband.prediction.range_of_use import scaled


def distances_by_range(train: Sequence, asked: Sequence[Condition]) -> np.ndarray:
    """Return distances in parameters by range, (train, asked); NaN for what is no condition."""
    of_train, of_asked = values_by_range(train, asked)
    return np.sqrt(((of_train[:, None] - of_asked) ** 2).sum(-1))


def values_by_range(known: Sequence, others: Sequence[Condition]) -> list[np.ndarray]:
    """Return the values (condition, axis) of both, each divided by the range of the known ones.

    The dose is its logarithm. Axes with one known value do not count.
    """
    names = others[0].axes.names
    none = [np.nan] * len(names)
    both = [
        [[scaled(n, c.value(n)) for n in names] if isinstance(c, Condition) else none for c in of]
        for of in (known, others)
    ]
    width = np.fmax.reduce(both[0]) - np.fmin.reduce(both[0])  # without NaN
    return [np.array(values) / np.where(width > 0, width, np.inf) for values in both]


def nearest(apart: np.ndarray, average: np.ndarray) -> np.ndarray:
    """Return, for each asked condition, the nearest network, (asked,) int.

    Args:
        apart: (network, asked), distances.
        average: (network,) or (network, asked), mean Dice of each network elsewhere. If several
            networks are equally near, the network with the highest mean Dice is chosen.
    """
    tied = apart <= apart.min(0) + 1e-9 * (1 + apart.min(0))
    return np.where(tied, average.reshape(len(apart), -1), -np.inf).argmax(0)
