"""Design of a set of networks: the choice of training conditions for a range of test conditions.

Training conditions are chosen by predicted Dice or by the metric `coverage`, before networks are
trained under these conditions. The chosen sets of networks are evaluated with the matrix of true
Dice.
"""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from passband.analysis.groups import group_names
from passband.prediction.matrix.cross_validation import CONDITIONS
from passband.prediction.matrix.matrices import matrices
from passband.seeds import generator

#: Size of the largest set of networks, and number of random sets of networks of each size.
LARGEST, RANDOM = 8, 500


def greedy(M: np.ndarray, number: int) -> list[int]:
    """Return rows of M (training conditions), which are chosen one after the other.

    Under each test condition, the best of the chosen networks is used. The next chosen row is the
    row that gives the highest minimum of M over test conditions. If several rows give the same
    minimum, the row with the highest mean over test conditions is chosen from these rows.

    Args:
        M: (train, test), the values by which rows are chosen, such as predicted Dice.
        number: Number of rows of M to choose.
    """
    best, rows = np.full(M.shape[1], -np.inf), []
    for _ in range(min(number, len(M))):
        with_row = np.maximum(best, M)
        order = np.lexsort((-with_row.mean(1), -with_row.min(1)))
        rows.append(int(next(k for k in order if k not in rows)))
        best = with_row[rows[-1]]
    return rows


def best_of_set_dice(M: np.ndarray, rows: Iterable[int]) -> np.ndarray:
    """Return the lowest and mean Dice over test conditions, each with the best network of a set."""
    best = M[list(rows)].max(0)
    return np.array([best.min(), best.mean()])


def set_size_curves(
    M: np.ndarray, predicted: np.ndarray, coverage: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Return the Dice of sets of 1 to :data:`LARGEST` training conditions, for each strategy.

    Args:
        M, predicted, coverage: (train, test), true Dice, predicted Dice, and the metric `coverage`
            κ. The models that predicted the Dice of a row were not fitted to this row.

    Returns:
        For each strategy, the lowest and the mean Dice of the chosen set of each size, (sizes, 2);
        see :func:`best_of_set_dice`. The sets of ``predicted``, ``coverage`` and ``true`` are
        chosen by :func:`greedy` from the array of this name. The strategy ``true`` is an oracle,
        since it uses test results. ``random`` is the mean Dice of :data:`RANDOM` random sets.
        ``random_low`` and ``random_high`` are the 5th and 95th percentiles of the Dice of these
        random sets. ``optimum`` is the best Dice of all possible sets of 1 or 2 training
        conditions, and NaN for larger sets.
    """
    sizes = range(1, min(LARGEST, len(M)) + 1)
    curves = {}
    for name, by in (("predicted", predicted), ("coverage", coverage), ("true", M)):
        rows = greedy(by, len(sizes))
        curves[name] = np.array([best_of_set_dice(M, rows[:k]) for k in sizes])
    random = generator(seed, "design")
    drawn = np.array(
        [
            [best_of_set_dice(M, random.choice(len(M), k, replace=False)) for _ in range(RANDOM)]
            for k in sizes
        ]
    )
    curves["random"] = drawn.mean(1)
    curves["random_low"], curves["random_high"] = np.quantile(drawn, [0.05, 0.95], axis=1)
    curves["optimum"] = np.full((len(sizes), 2), np.nan)
    pairs = np.stack([np.maximum(row, M) for row in M])
    for k, values in enumerate((M, pairs.reshape(-1, M.shape[1]))[: len(sizes)]):
        curves["optimum"][k] = values.min(1).max(), values.mean(1).max()
    return curves


def design(
    metrics: xr.Dataset, information: xr.Dataset, predicted: xr.Dataset, seed: int = 0
) -> xr.Dataset:
    """Return the Dice of sets of training conditions that were chosen by each strategy.

    Args:
        metrics, information: OOD metrics and information metrics, see
            :func:`passband.analysis.ood.metrics` and :func:`passband.analysis.information.metrics`.
        predicted: Predictions, see :func:`passband.prediction.matrix.prediction.predict`.

    Returns:
        `design` (specimen, architecture, test_specimen, strategy, size, worth). The coordinate
        `worth` is ``worst`` for the lowest Dice over test conditions, and ``mean`` for the mean
        Dice over test conditions; see :func:`set_size_curves`.
    """
    designs = []
    for cells in matrices(metrics, seed):
        metric = information.sel(train=cells.train.values, test=cells.test.values)
        name = group_names(cells)
        guess = predicted.predicted.sel(name).sel(axis=CONDITIONS, end="train")
        M = cells.dice.transpose("train", "test").values
        weight = name["specimen"] if name["specimen"] in metric.weight.values else "flat"
        kappa = metric.coverage.sel(weight=weight).transpose("train", "test").values
        # Dice in distribution is not predicted. In its place, the highest predicted Dice of the
        # network is used.
        guess = guess.sel(train=cells.train.values, test=cells.test.values).values
        guess = np.where(np.isfinite(guess), guess, np.nanmax(guess, axis=1, keepdims=True))
        dice = set_size_curves(M, guess, kappa, seed)
        curves = xr.DataArray(
            np.stack(list(dice.values())),
            {
                "strategy": list(dice),
                "size": range(1, len(dice["true"]) + 1),
                "worth": ["worst", "mean"],
            },
            ("strategy", "size", "worth"),
            "design",
        )
        designs.append(curves.expand_dims({d: [value] for d, value in name.items()}).to_dataset())
    result = xr.combine_by_coords(designs)
    words = "lowest and mean Dice over test conditions of the best network under each"
    result["design"].attrs = {"units": "1", "long_name": words}
    return result
