"""The rest of the matrix from a part of it: networks that were not trained, cells not tested.

Networks are as those whose training conditions are alike by their transfer functions; for single
cells the matrix itself, which is of low rank, says enough.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import xarray as xr

from passband import prediction
from passband.features import Features, feature_sets
from passband.seeds import generator

#: Shares of the matrix that are known, and random choices of each.
SHARES, CHOICES = (0.1, 0.2, 0.3, 0.5, 0.7), 3
#: What is hidden.
HIDDEN: dict[str, str] = {"networks": "networks not trained", "cells": "cells not tested"}


def likeness(X: Features) -> np.ndarray:
    """Return how far apart training conditions are as (train, train).

    The root mean square, over test conditions and features, of the difference of features, each
    scaled to a variance of 1.
    """
    values = X.values - X.values.mean((0, 1))
    values = (values / np.maximum(values.std((0, 1)), 1e-12)).reshape(len(values), -1)
    square = (values**2).mean(1)
    product = values @ values.T / values.shape[1]
    return np.sqrt(np.maximum(square[:, None] + square - 2 * product, 0))


def spread(distance: np.ndarray, number: int) -> list[int]:
    """Return rows that lie far from each other: from the most central one on, always the farthest
    from those chosen (Gonzalez 1985)."""
    rows = [int(distance.mean(1).argmin())]
    while len(rows) < number:
        rows.append(int(distance[:, rows].min(1).argmax()))
    return rows


def completed(Y: np.ndarray, trained: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the matrix with the rows of networks that were not trained, from those nearby.

    The mean of a Gaussian process over training conditions, for each test condition, about the mean
    of the networks that were trained. Its width and its noise are those that predict each network
    best from the others, which needs no refit (Rasmussen & Williams 2006, eq. 5.12).

    Parameters
    ----------
    Y : (train, test) float array
        Dice; NaN is taken for the mean, and rows that were not trained are not looked at.
    trained : (train,) bool array
    distance : (train, train) array
        See :func:`likeness`.
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
    found = Y.copy()
    found[~trained] = np.clip(mean + rest, 0, 1)
    return found


def filled(Y: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Return the matrix with the cells that were not tested, from those that were.

    A matrix of low rank about the mean of all cells: what network and test condition have in common
    with others shows in the other cells of its row and its column.

    Parameters
    ----------
    Y : (train, test) float array
        Dice; cells that were not tested are not looked at.
    tested : (train, test) bool array
    seed : int
    """
    seen = np.where(tested, Y, np.nan)
    mean = np.nanmean(seen)
    return np.where(tested, Y, np.clip(mean + low_rank(seen - mean, seed), 0, 1))


def low_rank(values: np.ndarray, seed: int) -> np.ndarray:
    """Return a matrix of low rank near the values that are known: soft-impute.

    Of the matrices X, that with the least ½Σ(X − values)² over known cells + λ·(sum of singular
    values), found by shrinking singular values over and over (Mazumder, Hastie & Tibshirani 2010,
    algorithm 1). λ is the one that best predicts a fifth of the known cells.

    Parameters
    ----------
    values : (train, test) float array
        NaN is not known.
    seed : int
    """
    known = np.isfinite(values)
    values = np.where(known, values, 0)
    hidden = known & (generator(seed, "hidden").random(values.shape) < 0.2)
    largest = np.linalg.norm(values, 2)
    # At λ of the largest singular value, the first of them, everything is shrunk to nothing.
    shrinkages = largest * np.geomspace(1, 0.01, 12)
    missed = [
        ((X - values)[hidden] ** 2).sum() for X in _soft_impute(values, known & ~hidden, shrinkages)
    ]
    best = int(np.argmin(missed))
    return list(_soft_impute(values, known, shrinkages[: best + 1]))[-1]


def _soft_impute(
    values: np.ndarray, known: np.ndarray, shrinkages: Iterable[float], steps: int = 30
) -> Iterator[np.ndarray]:
    """Yield the matrix for each λ, from large to small, each started from the one before."""
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
    """Return how well the rest of the matrix is known from a part of it.

    Parameters
    ----------
    metrics, information : Dataset
        See :func:`passband.ood.metrics` and :func:`passband.information.metrics`.
    replicas : int
        Networks that each M(i, j) is a mean of.
    seed : int
    progress : callable
        Wraps the shares that are known.

    Returns
    -------
    Dataset
        Over (specimen, architecture, test_specimen): `completion` (hidden, share, choice), the root
        mean square error of M(i, j), j ≠ i, of whole networks that were hidden, or of single cells;
        the last choice of networks is the designed one, far apart by their transfer functions.
        `noise`, the standard deviation between replicas; and `reach`, what that error would be if
        it came from another replica in their place, √(1 + 1/replicas)·noise.
    """
    found = []
    for cells in prediction.groups(metrics, seed):
        of = information.sel(train=cells.train.values, test=cells.test.values)
        X = feature_sets(cells, of)["ctf"]
        noise = float(np.sqrt((cells.dice_std**2).mean()))
        one = xr.Dataset(
            {
                "completion": (
                    ("hidden", "share", "choice"),
                    _errors(X, prediction.targets(cells), seed, progress),
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
        found.append(one.expand_dims({d: [str(cells[d].values)] for d in prediction.GROUP}))
    result = xr.combine_by_coords(found)
    words = {
        "completion": "root mean square error of Dice that was hidden, from the share that was not",
        "noise": "standard deviation of Dice between replicas, root mean square over cells",
        "reach": "error of another replica in place of the mean of those there are",
    }
    for name, text in words.items():
        result[name].attrs = {"units": "1", "long_name": text}
    return result


def _errors(X: Features, Y: np.ndarray, seed: int, progress: Callable) -> np.ndarray:
    """Return the root mean square error as (hidden, share, choice)."""
    distance, n = likeness(X), len(Y)
    error = np.full((len(HIDDEN), len(SHARES), CHOICES + 1), np.nan)

    def off(found: np.ndarray, hidden: np.ndarray) -> float:
        return float(np.sqrt(np.nanmean((found - Y)[hidden] ** 2)))

    def without(rows: Iterable[int]) -> float:
        trained = np.zeros(n, dtype=bool)
        trained[list(rows)] = True
        return off(completed(Y, trained, distance), ~trained)

    for k, share in enumerate(progress(SHARES)):
        number = max(2, round(share * n))
        for c in range(CHOICES):
            random = generator(seed, "completion", k, c)
            error[0, k, c] = without(random.choice(n, number, replace=False))
            tested = random.random(Y.shape) < share
            error[1, k, c] = off(filled(Y, tested, seed), ~tested)
        error[0, k, -1] = without(spread(distance, number))
    return error
