"""What the process is compared with where whole networks are hidden: completion of the matrix.

It was part of the package up to version 0.2.0: a Gaussian process over training conditions alone,
with distances of the features in `rivals`.
"""

import numpy as np

from findings.twelve_thousand.rivals import Features


def feature_distance(X: Features) -> np.ndarray:
    """Return the distance between training conditions, (train, train) float64.

    The distance between two training conditions is the root mean square difference of their
    features, over test conditions and features. Each feature is first scaled to a variance of 1.
    """
    values = X.values - X.values.mean((0, 1))
    values = (values / np.maximum(values.std((0, 1)), 1e-12)).reshape(len(values), -1)
    square = (values**2).mean(1)
    product = values @ values.T / values.shape[1]
    return np.sqrt(np.maximum(square[:, None] + square - 2 * product, 0))


def complete_rows(Y: np.ndarray, trained: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the Dice matrix with estimated rows for the networks that were not trained.

    For each test condition, the estimate is the mean of the trained networks plus the mean of a
    Gaussian process over training conditions. For the kernel of the Gaussian process, the width and
    the noise with the smallest leave-one-out error are used. The leave-one-out error is computed
    without fitting again (Rasmussen & Williams 2006, eq. 5.12).

    Args:
        Y: (train, test), Dice. NaN is replaced by the mean of Dice. The rows of networks that were
            not trained are not used.
        trained: (train,) bool, whether each network was trained.
        distance: (train, train), distances between training conditions, see
            :func:`feature_distance`.
    """
    mean = np.nanmean(Y[trained], axis=0)
    errors = Y[trained] - mean
    good = np.isfinite(errors)
    known = np.where(good, errors, 0)
    within = distance[np.ix_(trained, trained)]
    to = distance[np.ix_(~trained, trained)]
    nearest = np.median(np.where(np.eye(len(within), dtype=bool), np.inf, within).min(1))
    least = (known**2).sum()
    rest = np.zeros((len(to), Y.shape[1]))
    for width in max(nearest, 1e-12) * np.array([1.0, 2.0, 4.0, 8.0]):
        K, cross = (np.exp(-0.5 * (d / width) ** 2) for d in (within, to))
        for noise in (0.01, 0.03, 0.1, 0.3, 1.0):
            inverse = np.linalg.inv(K + noise * np.eye(len(K)))
            weights = inverse @ known
            missed = ((weights / np.diag(inverse)[:, None]) ** 2)[good].sum()
            if missed < least:
                least = missed
                rest = cross @ weights
    completed = Y.copy()
    completed[~trained] = np.clip(mean + rest, 0, 1)
    return completed
