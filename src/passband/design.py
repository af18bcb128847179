"""Which networks to train: for a range of conditions, and to know the rest of the matrix.

Everything is chosen by what is known before a network is trained, and judged by the true matrix.
"""

from collections.abc import Callable, Iterable

import numpy as np
import xarray as xr

from passband import features, holdout, prediction, predictors
from passband.seeds import generator

#: How a set of training conditions is chosen.
STRATEGIES: dict[str, str] = {
    "predicted": "greedily, by the Dice predicted for networks not trained yet",
    "coverage": "greedily, by the coverage of the test conditions",
    "random": "at random",
    "true": "greedily, by the true Dice: an oracle, which no one has",
}
#: Largest set, and random sets of each size.
LARGEST, RANDOM = 8, 500
#: Shares of the training conditions to train on, and random choices of each.
SHARES, CHOICES = (0.1, 0.2, 0.3, 0.5, 0.7), 3


def greedy(M: np.ndarray, number: int) -> list[int]:
    """Return rows of M, one after another, each the best to add.

    Under each test condition the best of the chosen networks is used, and of these values the
    lowest, then the mean of all, is made as large as can be.

    Parameters
    ----------
    M : (train, test) float array
        What to go by, such as predicted Dice.
    number : int
        Rows to choose.
    """
    best, rows = np.full(M.shape[1], -np.inf), []
    for _ in range(min(number, len(M))):
        with_row = np.maximum(best, M)
        order = np.lexsort((-with_row.mean(1), -with_row.min(1)))
        rows.append(int(next(k for k in order if k not in rows)))
        best = with_row[rows[-1]]
    return rows


def worth(M: np.ndarray, rows: Iterable[int]) -> np.ndarray:
    """Return the lowest and the mean Dice over test conditions, of the best network under each."""
    best = M[list(rows)].max(0)
    return np.array([best.min(), best.mean()])


def curves(
    M: np.ndarray, predicted: np.ndarray, coverage: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Return what sets of 1 to :data:`LARGEST` training conditions are worth, however chosen.

    Parameters
    ----------
    M, predicted, coverage : (train, test) float arrays
        True Dice; what it was predicted to be by models that had not seen the row; and κ.
    seed : int

    Returns
    -------
    dict of str to (sizes, 2) array
        Lowest and mean Dice for each of :data:`STRATEGIES`; of random sets ``random`` is the mean,
        ``random_low`` and ``random_high`` the 5th and 95th percentile; ``optimum`` is the best set
        of all, for sizes 1 and 2, and NaN for others.
    """
    sizes = range(1, min(LARGEST, len(M)) + 1)
    found = {}
    for name, by in (("predicted", predicted), ("coverage", coverage), ("true", M)):
        rows = greedy(by, len(sizes))
        found[name] = np.array([worth(M, rows[:k]) for k in sizes])
    random = generator(seed, "design")
    drawn = np.array(
        [[worth(M, random.choice(len(M), k, replace=False)) for _ in range(RANDOM)] for k in sizes]
    )
    found["random"] = drawn.mean(1)
    found["random_low"], found["random_high"] = np.quantile(drawn, [0.05, 0.95], axis=1)
    found["optimum"] = np.full((len(sizes), 2), np.nan)
    pairs = np.stack([np.maximum(row, M) for row in M])
    for k, values in enumerate((M, pairs.reshape(-1, M.shape[1]))[: len(sizes)]):
        found["optimum"][k] = values.min(1).max(), values.mean(1).max()
    return found


# Completion


def likeness(X: features.Features) -> np.ndarray:
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
    X: features.Features, Y: np.ndarray, trained: np.ndarray, distance: np.ndarray, seed: int
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
    good = np.isfinite(seen)

    def mean(weights: np.ndarray) -> np.ndarray:
        total = weights @ good
        # A column of which no weighted row is known falls back on its plain mean.
        plain = np.where(good, seen, 0).sum(0) / np.maximum(good.sum(0), 1)
        value = weights @ np.where(good, seen, 0) / np.maximum(total, 1e-12)
        return np.where(total > 1e-6, value, plain)

    even = np.where(np.isinf(apart), 0.0, 1.0)
    values = np.concatenate([X.values, mean(even)[..., None], mean(near)[..., None]], -1)
    full = features.Features(values, (*X.names, "known", "near"))
    groups = np.cumsum(trained) % holdout.INNER
    inner = [((groups == k) & trained)[:, None] & good for k in range(holdout.INNER)]
    rest = ~trained
    with predictors.one_thread():
        model = predictors.fit(full, seen, [held for held in inner if held.any()], seed)
        guess = model(values[rest].reshape(-1, values.shape[-1]))[predictors.STACKED]
    errors = (seen - model.left_out)[trained]
    apart = distance[:, trained]
    found = Y.copy()
    found[rest] = guess.reshape(rest.sum(), -1) + _carried(errors, apart[trained], apart[rest])
    return np.clip(found, 0, 1)


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


def completion(
    X: features.Features, Y: np.ndarray, seed: int, progress: Callable = iter
) -> dict[str, np.ndarray]:
    """Return the root mean square error of rows that were not trained, by the share that was.

    Returns
    -------
    dict of str to array
        ``random`` (shares, choices) and ``designed`` (shares,).
    """
    distance, n = likeness(X), len(Y)
    error = {"random": np.full((len(SHARES), CHOICES), np.nan)}
    error["designed"] = np.full(len(SHARES), np.nan)

    def of(rows: Iterable[int]) -> float:
        trained = np.zeros(n, dtype=bool)
        trained[list(rows)] = True
        e = (completed(X, Y, trained, distance, seed) - Y)[~trained]
        return float(np.sqrt(np.nanmean(e**2)))

    for k, share in enumerate(progress(SHARES)):
        number = max(holdout.INNER, round(share * n))
        for c in range(CHOICES):
            rows = generator(seed, "completion", k, c).choice(n, number, replace=False)
            error["random"][k, c] = of(rows)
        error["designed"][k] = of(spread(distance, number))
    return error


def design(
    metrics: xr.Dataset,
    information: xr.Dataset,
    predicted: xr.Dataset,
    replicas: int,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> xr.Dataset:
    """Return what chosen training conditions are worth, and how many make the matrix known.

    Parameters
    ----------
    metrics, information : Dataset
        See :func:`passband.ood.metrics` and :func:`passband.information.metrics`.
    predicted : Dataset
        See :func:`passband.prediction.predict`.
    replicas : int
        Networks that each M(i, j) is a mean of.
    seed : int
    progress : callable
        Wraps the shares of the networks.

    Returns
    -------
    Dataset
        Over (specimen, architecture, test_specimen): `design` (strategy, size, worth), the lowest
        and the mean Dice over test conditions; `completion` (share, choice), the root mean square
        error of M(i, j) of networks that were not trained, j ≠ i, the last choice being
        the designed one; `noise`, the standard deviation between replicas; and `reach`, what that
        error would be if it came from another replica in their place, √(1 + 1/replicas)·noise.
    """
    found = []
    for cells in prediction.groups(metrics, seed):
        of = information.sel(train=cells.train.values, test=cells.test.values)
        X = features.feature_sets(cells, of)["ctf"]
        name = {d: str(cells[d].values) for d in prediction.GROUP}
        guess = predicted.predicted.sel(name).sel(axis=holdout.CONDITIONS, end="train")
        M = cells.dice.transpose("train", "test").values
        weight = name["specimen"] if name["specimen"] in of.weight.values else "flat"
        kappa = of.coverage.sel(weight=weight).transpose("train", "test").values
        # Nothing is predicted in distribution, where it is taken to be as good as at its best.
        guess = guess.sel(train=cells.train.values, test=cells.test.values).values
        guess = np.where(np.isfinite(guess), guess, np.nanmax(guess, axis=1, keepdims=True))
        worths = curves(M, guess, kappa, seed)
        error = completion(X, prediction.targets(cells), seed, progress)
        noise = float(np.sqrt((cells.dice_std**2).mean()))
        sizes = len(worths["true"])
        one = xr.Dataset(
            {
                "design": (("strategy", "size", "worth"), np.stack(list(worths.values()))),
                "completion": (
                    ("share", "choice"),
                    np.column_stack([error["random"], error["designed"]]),
                ),
                "noise": noise,
                "reach": noise * np.sqrt(1 + 1 / replicas),
            },
            coords={
                "strategy": list(worths),
                "size": range(1, sizes + 1),
                "worth": ["worst", "mean"],
                "share": list(SHARES),
                "choice": [*(f"random {k}" for k in range(CHOICES)), "designed"],
            },
        )
        found.append(one.expand_dims({d: [name[d]] for d in prediction.GROUP}))
    result = xr.combine_by_coords(found)
    words = {
        "design": "lowest and mean Dice over test conditions of the best network under each",
        "completion": "root mean square error of Dice of networks that were not trained",
        "noise": "standard deviation of Dice between replicas, root mean square over cells",
        "reach": "error of another replica in place of the mean of those there are",
    }
    for name, text in words.items():
        result[name].attrs = {"units": "1", "long_name": text}
    return result
