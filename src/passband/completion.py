"""The rest of the matrix from a part of it: networks that were not trained, cells not tested."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import xarray as xr

from passband import holdout, prediction, predictors
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


def completed(
    X: Features, Y: np.ndarray, trained: np.ndarray, distance: np.ndarray, seed: int
) -> np.ndarray:
    """Return the matrix with the rows of networks that were not trained predicted from the others.

    What is known of a pair beside its features is how the trained networks do under its test
    condition: their mean, and their mean with weights that fall off with the distance of the
    training conditions. A row's own values are not in it. What the models get wrong of the rows
    that they know, left out in turn, is carried over to the others.

    Parameters
    ----------
    X : Features
    Y : (train, test) float array
        Dice; the rows that were not trained are not looked at.
    trained : (train,) bool array
    distance : (train, train) array
        See :func:`likeness`.
    seed : int
    """
    seen = np.where(trained[:, None], Y, np.nan)
    apart = np.where(np.eye(len(Y), dtype=bool), np.inf, distance)
    apart[:, ~trained] = np.inf
    width = np.median(apart[trained].min(1))
    near = np.exp(-0.5 * (apart / max(width, 1e-12)) ** 2)
    near /= np.maximum(near.max(1, keepdims=True), 1e-300)
    even = np.where(np.isinf(apart), 0.0, 1.0)
    groups = np.cumsum(trained) % holdout.INNER
    inner = [np.broadcast_to(((groups == k) & trained)[:, None], Y.shape) for k in _inner()]
    known = {"known": _mean(seen, even), "near": _mean(seen, near)}
    guess, errors = _guess(X, seen, known, inner, seed)
    rest = ~trained
    apart = distance[:, trained]
    found = Y.copy()
    found[rest] = guess[rest] + _carried(errors[trained], apart[trained], apart[rest])
    return np.clip(found, 0, 1)


def filled(X: Features, Y: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """Return the matrix with the cells that were not tested predicted from the others.

    What is known of a pair beside its features is how its network does under other test conditions,
    and other networks do under its test condition. What the models get wrong of the cells that they
    know, left out in turn, is made into a matrix of low rank (soft-impute), and added.

    Parameters
    ----------
    X : Features
    Y : (train, test) float array
        Dice; the cells that were not tested are not looked at.
    tested : (train, test) bool array
    seed : int
    """
    seen = np.where(tested, Y, np.nan)
    lot = generator(seed, "inner").integers(holdout.INNER, size=Y.shape)
    inner = [tested & (lot == k) for k in _inner()]
    known = {
        "network": _mean(seen.T, 1.0 - np.eye(Y.shape[1])).T,
        "condition": _mean(seen, 1.0 - np.eye(Y.shape[0])),
    }
    guess, errors = _guess(X, seen, known, inner, seed)
    return np.where(tested, Y, np.clip(guess + low_rank(errors, seed), 0, 1))


def _inner() -> range:
    return range(holdout.INNER)


def _mean(seen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of known cells of each column, each row by its weights of all rows.

    A column of which no weighted row is known falls back on its plain mean.
    """
    good = np.isfinite(seen)
    known = np.where(good, seen, 0)
    total = weights @ good
    plain = known.sum(0) / np.maximum(good.sum(0), 1)
    return np.where(total > 1e-6, weights @ known / np.maximum(total, 1e-12), plain)


def _guess(
    X: Features, seen: np.ndarray, known: Mapping[str, np.ndarray], inner: Iterable, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the stack predicts for each cell, and its errors of inner folds' cells.

    `known`, by name, are further features; the errors are NaN where a cell was not left out.
    """
    full = Features(
        np.stack([*np.moveaxis(X.values, -1, 0), *known.values()], -1), (*X.names, *known)
    )
    good = np.isfinite(seen)
    folds = [held & good for held in inner]
    with predictors.one_thread():
        model = predictors.fit(full, seen, [held for held in folds if held.any()], seed)
        guess = model(full.values.reshape(-1, full.values.shape[-1]))[predictors.STACKED]
    return guess.reshape(seen.shape), seen - model.left_out


def _carried(errors: np.ndarray, within: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return what the errors of some rows say of those of other rows: a Gaussian process's mean.

    Its width and its noise are those that predict each row best from the others, which needs no
    refit (Rasmussen & Williams 2006, eq. 5.12); none at all is among the choices.

    Parameters
    ----------
    errors : (rows, test) float array
        NaN is taken for no error.
    within, to : (rows, rows) and (others, rows) float arrays
        How far apart rows are.
    """
    good = np.isfinite(errors)
    known = np.where(good, errors, 0)
    nearest = np.median(np.where(np.eye(len(within), dtype=bool), np.inf, within).min(1))
    least, found = (known**2).sum(), np.zeros((len(to), errors.shape[1]))
    for width in nearest * np.array([1.0, 2.0, 4.0, 8.0]):
        K, cross = (np.exp(-0.5 * (d / max(width, 1e-12)) ** 2) for d in (within, to))
        for noise in (0.01, 0.1, 1.0):
            inverse = np.linalg.inv(K + noise * np.eye(len(K)))
            weights = inverse @ known
            missed = ((weights / np.diag(inverse)[:, None]) ** 2)[good].sum()
            if missed < least:
                least, found = missed, cross @ weights
    return found


def low_rank(errors: np.ndarray, seed: int) -> np.ndarray:
    """Return a smooth matrix near those errors that are known: soft-impute.

    Of the matrices X, that with the least ½Σ(X − errors)² over known cells + λ·(sum of singular
    values), found by shrinking singular values over and over (Mazumder, Hastie & Tibshirani 2010,
    algorithm 1). λ is the one that best predicts a fifth of the known cells; nothing at all is
    among the choices.

    Parameters
    ----------
    errors : (train, test) float array
        NaN is not known.
    seed : int
    """
    known = np.isfinite(errors)
    values = np.where(known, errors, 0)
    hidden = known & (generator(seed, "hidden").random(errors.shape) < 0.2)
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
            U, s, V = np.linalg.svd(np.where(known, values, X), full_matrices=False)
            X = (U * np.maximum(s - shrinkage, 0)) @ V
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
        return off(completed(X, Y, trained, distance, seed), ~trained)

    for k, share in enumerate(progress(SHARES)):
        number = max(holdout.INNER, round(share * n))
        for c in range(CHOICES):
            random = generator(seed, "completion", k, c)
            error[0, k, c] = without(random.choice(n, number, replace=False))
            tested = random.random(Y.shape) < share
            error[1, k, c] = off(filled(X, Y, tested, seed), ~tested)
        error[0, k, -1] = without(spread(distance, number))
    return error
