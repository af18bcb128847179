"""Completion of the Dice matrix: estimates for networks not trained and cells not tested.

The Dice of a network that was not trained is estimated from networks with similar transfer
functions. The Dice of single cells that were not tested is estimated only from the known cells of
the matrix, because the Dice matrix has a low rank.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import xarray as xr

from passband.analysis.groups import group_names
from passband.prediction.matrix.features import Features, feature_sets
from passband.prediction.matrix.matrices import matrices, targets
from passband.seeds import generator

#: Shares of the Dice matrix that are known, and number of random choices of the known part for each
#: share.
SHARES, CHOICES = (0.1, 0.2, 0.3, 0.5, 0.7), 3
#: What is hidden: whole networks (rows of the Dice matrix) or single cells.
HIDDEN: dict[str, str] = {"networks": "networks not trained", "cells": "cells not tested"}


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


def farthest_points(distance: np.ndarray, number: int) -> list[int]:
    """Return rows of a matrix of distances that are far from each other.

    The first chosen row is the most central row. Each further row is the row that is farthest from
    all rows chosen before it (Gonzalez 1985).
    """
    rows = [int(distance.mean(1).argmin())]
    while len(rows) < number:
        rows.append(int(distance[:, rows].min(1).argmax()))
    return rows


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
    within, to = distance[np.ix_(trained, trained)], distance[np.ix_(~trained, trained)]
    nearest = np.median(np.where(np.eye(len(within), dtype=bool), np.inf, within).min(1))
    least, rest = (known**2).sum(), np.zeros((len(to), Y.shape[1]))
    for width in max(nearest, 1e-12) * np.array([1.0, 2.0, 4.0, 8.0]):
        K, cross = (np.exp(-0.5 * (d / width) ** 2) for d in (within, to))
        for noise in (0.01, 0.03, 0.1, 0.3, 1.0):
            inverse = np.linalg.inv(K + noise * np.eye(len(K)))
            weights = inverse @ known
            missed = ((weights / np.diag(inverse)[:, None]) ** 2)[good].sum()
            if missed < least:
                least, rest = missed, cross @ weights
    completed = Y.copy()
    completed[~trained] = np.clip(mean + rest, 0, 1)
    return completed


def complete_cells(Y: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Return the Dice matrix with estimates for the cells that were not tested.

    The estimated Dice is the mean of the tested cells plus a matrix of low rank.

    Args:
        Y: (train, test), Dice. The values of cells that were not tested are not used.
        tested: (train, test) bool, whether each cell was tested.
        seed: Seed of a random choice, see :func:`low_rank`.
    """
    seen = np.where(tested, Y, np.nan)
    mean = np.nanmean(seen)
    return np.where(tested, Y, np.clip(mean + low_rank(seen - mean, seed), 0, 1))


def low_rank(values: np.ndarray, seed: int) -> np.ndarray:
    """Return a matrix of low rank that is close to the known values, by soft-impute.

    The matrix X minimises ½Σ(X − values)² over known cells + λ·(sum of singular values of X). X is
    computed by repeated shrinkage of the singular values (Mazumder, Hastie & Tibshirani 2010,
    algorithm 1). To choose λ, a random fifth of the known cells is predicted from all other known
    cells. The λ with the smallest error of these predictions is used.

    Args:
        values: (train, test), the values of the cells; NaN if a value is not known.
    """
    known = np.isfinite(values)
    values = np.where(known, values, 0)
    hidden = known & (generator(seed, "hidden").random(values.shape) < 0.2)
    largest = np.linalg.norm(values, 2)
    # The first λ is the largest singular value of the matrix. With this λ, the whole matrix shrinks
    # to 0.
    shrinkages = largest * np.geomspace(1, 0.01, 12)
    missed = [
        ((X - values)[hidden] ** 2).sum() for X in _soft_impute(values, known & ~hidden, shrinkages)
    ]
    best = int(np.argmin(missed))
    return list(_soft_impute(values, known, shrinkages[: best + 1]))[-1]


def _soft_impute(
    values: np.ndarray, known: np.ndarray, shrinkages: Iterable[float], steps: int = 30
) -> Iterator[np.ndarray]:
    """Yield the low-rank matrix for each λ, computed from the matrix of the previous λ.

    The values of λ, `shrinkages`, must be in decreasing order.
    """
    X = np.zeros_like(values)
    for shrinkage in shrinkages:
        for _ in range(steps):
            before = X
            U, s, V = np.linalg.svd(np.where(known, values, X), full_matrices=False)
            X = (U * np.maximum(s - shrinkage, 0)) @ V
            if np.linalg.norm(X - before) <= 1e-3 * np.linalg.norm(X):
                break
        yield X


def completion(
    metrics: xr.Dataset,
    information: xr.Dataset,
    replicas: int,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> xr.Dataset:
    """Return the errors of estimates of hidden cells, over the known share of the Dice matrix.

    Args:
        metrics, information: OOD metrics and information metrics, see
            :func:`passband.analysis.ood.metrics` and :func:`passband.analysis.information.metrics`.
        replicas: Number of replicas. Each M(i, j) is the mean Dice of this number of replicas.

    Returns:
        All variables have the dimensions (specimen, architecture, test_specimen). In this list, …
        means these three dimensions:

        - `completion` (…, hidden, share, choice): the root mean square error of M(i, j), j ≠ i, for
          hidden networks or hidden cells. The choices of known networks and cells are random,
          except for the last choice of networks, ``designed``. The known networks of ``designed``
          have transfer functions that are far from each other.
        - `noise` (…): the standard deviation of Dice between replicas, as root mean square over
          cells.
        - `reach` (…): the root mean square error of one more replica as an estimate of the mean.
    """
    errors = []
    for cells in matrices(metrics, seed):
        same = information.sel(train=cells.train.values, test=cells.test.values)
        X = feature_sets(cells, same)["ctf"]
        noise = float(np.sqrt((cells.dice_std**2).mean()))
        error = xr.Dataset(
            {
                "completion": (
                    ("hidden", "share", "choice"),
                    _errors(X, targets(cells), seed, progress),
                ),
                "noise": noise,
                "reach": noise * np.sqrt(1 + 1 / replicas),
            },
            coords={
                "hidden": list(HIDDEN),
                "share": list(SHARES),
                "choice": [*(f"random {k}" for k in range(CHOICES)), "designed"],
            },
        )
        errors.append(error.expand_dims({d: [name] for d, name in group_names(cells).items()}))
    result = xr.combine_by_coords(errors)
    words = {
        "completion": "root mean square error of estimates of hidden Dice from the known share",
        "noise": "standard deviation of Dice between replicas, root mean square over cells",
        "reach": "root mean square error of one more replica as an estimate of the replicas' mean",
    }
    for name, text in words.items():
        result[name].attrs = {"units": "1", "long_name": text}
    return result


def _errors(X: Features, Y: np.ndarray, seed: int, progress: Callable) -> np.ndarray:
    """Return root mean square errors of estimates of hidden cells, (hidden, share, choice)."""
    distance, n = feature_distance(X), len(Y)
    error = np.full((len(HIDDEN), len(SHARES), CHOICES + 1), np.nan)

    def off(completed: np.ndarray, hidden: np.ndarray) -> float:
        return float(np.sqrt(np.nanmean((completed - Y)[hidden] ** 2)))

    def without(rows: Iterable[int]) -> float:
        trained = np.zeros(n, dtype=bool)
        trained[list(rows)] = True
        return off(complete_rows(Y, trained, distance), ~trained)

    for k, share in enumerate(progress(SHARES)):
        number = max(2, round(share * n))
        for c in range(CHOICES):
            random = generator(seed, "completion", k, c)
            error[0, k, c] = without(random.choice(n, number, replace=False))
            tested = random.random(Y.shape) < share
            error[1, k, c] = off(complete_cells(Y, tested, seed), ~tested)
        error[0, k, -1] = without(farthest_points(distance, number))
    return error
