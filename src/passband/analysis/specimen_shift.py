"""Effect of a shift of specimens, and how well transfer functions explain it.

A network is trained on specimen a under condition i, and tested on specimen b under condition j.
The network's gap is M(b→b; j, j) − M(a→b; i, j): the difference of its Dice to the Dice of a
network that was trained on the test specimen under the test condition. Training and test have the
same dose. They differ in the lens, in the specimen, or in both.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from passband.analysis.bootstrap import percentile_interval, resample
from passband.analysis.correlation import centred, correlation
from passband.errors import PassbandError
from passband.matrices.matrix import Matrix
from passband.matrices.stored import MatrixName, group_coordinates, together

#: The shifts: what differs between training and test.
SHIFTS: dict[str, str] = {
    "lens": "another lens, the same specimen",
    "structure": "another specimen, the same lens",
    "both": "another specimen and another lens",
}
#: Quantiles at the ends of the 95% intervals.
EDGES = [0.025, 0.975]
#: Predictors that are larger for more similar pairs; all others are larger for less similar pairs.
LIKENESSES = frozenset(
    {
        "overlap", "overlap_abs", "coverage", "shared_capacity", "capacity_coverage", "fidelity",
        "fidelity_abs",
    }
)  # fmt: skip


def gaps(matrices: Sequence[Matrix]) -> dict[MatrixName, np.ndarray]:
    """Return M(b→b; j, j) − M(a→b; i, j) of each matrix, (train, test).

    A gap is NaN if no network was trained on the test specimen under the test condition.

    Args:
        matrices: All matrices of a study.
    """
    ideal = {
        (matrix.architecture, matrix.specimen): matrix.diagonal
        for matrix in matrices
        if matrix.name.is_home
    }
    return {
        matrix.name: ideal.get((matrix.architecture, matrix.test_specimen), np.nan)
        - matrix.dice.values
        for matrix in matrices
    }


def explained(
    matrices: Sequence[Matrix],
    information: xr.Dataset,
    draws: int = 500,
) -> xr.Dataset:
    """Return each predictor's rank correlation with the gaps, and the sources of the variance.

    Only gaps whose training and test conditions have the same dose are used. The predictors of the
    gaps are all information metrics of two conditions. They have the weight of spatial frequencies
    of the training specimen, or the flat weight if the training specimen has no weight.

    Args:
        matrices: All matrices of a study. Mixtures are left out.
        information: Metrics of the same study, see :func:`passband.analysis.information.metrics`.
        draws: Number of bootstrap samples for the intervals.

    Returns:
        - `dice` (specimen, test_specimen): mean Dice with the same condition in training and test.
        - `rho` (shift, predictor): Spearman's rank correlation of each predictor with the gaps. The
          sign of the predictors in :data:`LIKENESSES` is reversed, so that a perfect predictor has
          the correlation 1. The correlation is NaN if a predictor is constant.
        - `rho_interval` (shift, predictor, bound): the 95% interval of `rho`, from percentiles of a
          bootstrap over pairs of specimens. The bootstrap samples use the ranks of all gaps.
        - `share` (shift, source): the share of the gaps' variance between pairs of conditions, and
          between pairs of specimens. The share between pairs of conditions is the largest share
          that any function of the two conditions can explain. Both shares are adjusted for the
          number of groups, which are the pairs (ε², Kelley 1935).
        - `cells` (shift): the number of gaps.

    Raises:
        PassbandError: If there are fewer than two training specimens.
    """
    trained = dict.fromkeys(matrix.specimen for matrix in matrices)
    if len(trained) < 2:
        raise PassbandError(
            f"specimens = {', '.join(trained)}: two or more training specimens are needed for a "
            "comparison"
        )
    matrices = [matrix.of_conditions() for matrix in matrices]
    gap = np.stack([*gaps(matrices).values()])  # (matrix, train, test), as all arrays below
    predictors = _predictors(matrices, information)
    same_specimen = _to_cells([matrix.name.is_home for matrix in matrices])
    same_condition = np.equal.outer(matrices[0].rows, matrices[0].columns)
    doses = ([c.dose_e_per_A2 for c in side] for side in (matrices[0].train, matrices[0].test))
    among = np.isfinite(gap) & np.equal.outer(*doses)
    cells = {
        "lens": among & same_specimen & ~same_condition,
        "structure": among & ~same_specimen & same_condition,
        "both": among & ~same_specimen & ~same_condition,
    }
    # For each architecture, each pair of specimens has a number, and each pair of conditions.
    names = [matrix.architecture for matrix in matrices]
    conditions = np.arange(same_condition.size).reshape(same_condition.shape)
    conditions = conditions + conditions.size * _to_cells([names.index(name) for name in names])
    specimens = np.broadcast_to(_to_cells(np.arange(len(matrices))), gap.shape)
    rho = np.full((len(SHIFTS), len(predictors), 3), np.nan)
    share = np.full((len(SHIFTS), 2), np.nan)
    for s, shift in enumerate(SHIFTS):
        where = cells[shift]
        for k, values in enumerate(predictors.values()):
            there = where & np.isfinite(values)
            if there.any():
                clusters = np.unique(specimens[there], return_inverse=True)[1]
                counts = resample(clusters.max() + 1, draws, 0, shift)
                rho[s, k] = _rank_correlation(values[there], gap[there], clusters, counts)
        for k, numbers in enumerate((conditions, specimens)):
            share[s, k] = _between(gap[where], numbers[where])
    return xr.Dataset(
        {
            "dice": _dice_of_equal_conditions(matrices),
            "rho": (("shift", "predictor"), rho[..., 0]),
            "rho_interval": (("shift", "predictor", "bound"), rho[..., 1:]),
            "share": (("shift", "source"), share),
            "cells": ("shift", [int(cells[shift].sum()) for shift in SHIFTS]),
        },
        {
            "shift": list(SHIFTS),
            "predictor": list(predictors),
            "source": ["conditions", "specimens"],
            "bound": ["low", "high"],
        },
    )


def _to_cells(of_matrices: Sequence) -> np.ndarray:
    """Return a value of each matrix as an array that can be broadcast to (matrix, train, test)."""
    return np.array(of_matrices)[:, None, None]


def _dice_of_equal_conditions(matrices: Sequence[Matrix]) -> xr.DataArray:
    """Return mean Dice with the same condition in training and test, (specimen, test_specimen)."""
    names = [matrix.name for matrix in matrices]
    same = np.equal.outer(matrices[0].rows, matrices[0].columns)
    parts = ({"dice": matrix.dice.variable.where(same)} for matrix in matrices)
    every = xr.Dataset(together(names, parts), group_coordinates(names)).dice
    return every.mean(["architecture", "train", "test"]).transpose("specimen", "test_specimen")


def _predictors(matrices: Sequence[Matrix], information: xr.Dataset) -> dict[str, np.ndarray]:
    """Return every predictor of the gaps, (matrix, train, test).

    The sign of the predictors in :data:`LIKENESSES` is reversed, so that all predictors are larger
    for larger gaps.
    """
    predictors = {}
    conditions = {"train": list(matrices[0].rows), "test": list(matrices[0].columns)}
    known = information.weight.values
    weights = [matrix.specimen if matrix.specimen in known else "flat" for matrix in matrices]
    for name, metric in information.sel(conditions).items():
        if set(metric.dims) == {"weight", "train", "test"}:
            of_weights = metric.sel(weight=weights).transpose("weight", "train", "test")
            predictors[str(name)] = of_weights.values
    return {
        name: -values if name in LIKENESSES else values.astype(float)
        for name, values in predictors.items()
    }


def _rank_correlation(
    x: np.ndarray, y: np.ndarray, clusters: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return Spearman's rank correlation of x and y, and the two ends of its interval, as (3,).

    Args:
        x, y: (points,).
        clusters: (points,) int.
        counts: (draws, clusters), the number of times that each cluster is in each bootstrap
            sample.
    """
    # The values of a metric of equal conditions differ only by rounding errors. Rounding makes
    # these values constant, so that ρ is NaN.
    a, b = ((rank - rank.mean()) / len(x) for rank in (rankdata(np.round(x, 12)), rankdata(y)))
    terms = (np.ones(len(x)), a, b, a * b, a * a, b * b)
    counts = np.vstack([np.ones(counts.shape[1]), counts])  # all points once, then the draws
    n, *sums = (counts @ np.bincount(clusters, term) for term in terms)
    a, b, ab, aa, bb = (total / n for total in sums)
    rho = correlation(centred(ab, a, b, 1), centred(aa, a, a, 1), centred(bb, b, b, 1))
    return np.array([rho[0], *percentile_interval(rho[1:], EDGES)])


def _between(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the share of the variance between groups, adjusted for the number of groups (ε²)."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(values) <= len(sizes) or np.ptp(values) == 0:
        return float("nan")
    means = np.bincount(group, values) / sizes
    within = np.sum((values - means[group]) ** 2) / (len(values) - len(sizes))
    return float(1 - within / values.var(ddof=1))
