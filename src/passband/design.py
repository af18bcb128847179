"""Which networks to train for a range of conditions.

They are chosen by what is known before a network is trained, and judged by the true matrix.
"""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from passband import holdout, prediction
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


def design(
    metrics: xr.Dataset, information: xr.Dataset, predicted: xr.Dataset, seed: int = 0
) -> xr.Dataset:
    """Return what chosen training conditions are worth.

    Parameters
    ----------
    metrics, information : Dataset
        See :func:`passband.ood.metrics` and :func:`passband.information.metrics`.
    predicted : Dataset
        See :func:`passband.prediction.predict`.
    seed : int

    Returns
    -------
    Dataset
        `design` (specimen, architecture, test_specimen, strategy, size, worth): the lowest and the
        mean Dice over test conditions; see :func:`curves`.
    """
    found = []
    for cells in prediction.groups(metrics, seed):
        of = information.sel(train=cells.train.values, test=cells.test.values)
        name = {d: str(cells[d].values) for d in prediction.GROUP}
        guess = predicted.predicted.sel(name).sel(axis=holdout.CONDITIONS, end="train")
        M = cells.dice.transpose("train", "test").values
        weight = name["specimen"] if name["specimen"] in of.weight.values else "flat"
        kappa = of.coverage.sel(weight=weight).transpose("train", "test").values
        # Nothing is predicted in distribution, where it is taken to be as good as at its best.
        guess = guess.sel(train=cells.train.values, test=cells.test.values).values
        guess = np.where(np.isfinite(guess), guess, np.nanmax(guess, axis=1, keepdims=True))
        worths = curves(M, guess, kappa, seed)
        one = xr.DataArray(
            np.stack(list(worths.values())),
            {
                "strategy": list(worths),
                "size": range(1, len(worths["true"]) + 1),
                "worth": ["worst", "mean"],
            },
            ("strategy", "size", "worth"),
            "design",
        )
        found.append(one.expand_dims({d: [name[d]] for d in prediction.GROUP}).to_dataset())
    result = xr.combine_by_coords(found)
    words = "lowest and mean Dice over test conditions of the best network under each"
    result["design"].attrs = {"units": "1", "long_name": words}
    return result
