"""Which matrices are large enough for predictions, and the Dice that predictions know of them."""

from collections.abc import Iterable

import numpy as np

from passband.config import FEWEST_PREDICTED as MIN_CONDITIONS
from passband.errors import PassbandError
from passband.matrices.matrix import Matrix


class TooFewError(PassbandError):
    """All matrices of a study are too small to evaluate predictions."""


def large_enough(matrices: Iterable[Matrix]) -> list[Matrix]:
    """Return the matrices that predictions can be evaluated with.

    A matrix with fewer than :data:`MIN_CONDITIONS` test conditions, or training conditions with
    networks, is left out. So are the rows of mixtures, which have no profile of a single condition.

    Raises:
        TooFewError: If no matrix is left.
    """
    found = []
    most = 0
    for matrix in matrices:
        matrix = matrix.of_conditions()
        fewest = min(int(has_networks(matrix).sum()), len(matrix.columns))
        most = max(most, fewest)
        if fewest >= MIN_CONDITIONS:
            found.append(matrix)
    if not found:
        raise TooFewError(
            f"the largest matrix has only {most} training or test conditions: predictions need at "
            f"least {MIN_CONDITIONS} of each"
        )
    return found


def has_networks(matrix: Matrix) -> np.ndarray:
    """Return whether each row has a network that was tested under all conditions, (row,) bool."""
    return matrix.trained.any(1)


def of_replicas(matrix: Matrix) -> np.ndarray:
    """Return the mean Dice of each network, (train, replica, test) float64.

    A network that was not tested under all conditions is NaN.
    """
    D = matrix.by_network.values.astype(float)
    D[~matrix.trained] = np.nan
    return D


def mean_dice(matrix: Matrix) -> np.ndarray:
    """Return the mean of :func:`of_replicas`, (train, test); NaN in rows without networks."""
    D = matrix.by_network.values
    sums = np.sum(D, axis=1, dtype=float, where=matrix.trained[..., None])
    number = matrix.trained.sum(1)[:, None]
    return np.divide(sums, number, out=np.full(sums.shape, np.nan), where=number > 0)
