"""Effect of a shift of specimens, and how well transfer functions and distances explain it.

A network is trained on specimen a under condition i, and tested on specimen b under condition j.
The network's gap is M(b→b; j, j) − M(a→b; i, j): the difference of its Dice to the Dice of a
network that was trained on the test specimen under the test condition. Training and test have the
same dose. They differ in the lens, in the specimen, or in both.
"""

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from passband import PassbandError
from passband.analysis.bootstrap import percentile_interval, resample
from passband.analysis.correlation import centred, correlation
from passband.matrices.matrix import GROUP

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
        "fidelity_abs", "cka",
    }
)  # fmt: skip


def gaps(ood: xr.Dataset) -> xr.DataArray:
    """Return M(b→b; j, j) − M(a→b; i, j) over (specimen, architecture, test_specimen, train, test).

    A gap is NaN if no network was trained on the test specimen under the test condition.

    Args:
        ood: OOD metrics, see :func:`passband.analysis.ood.metrics`.
    """
    dims = (*GROUP, "train", "test")
    M = ood.dice.transpose(*dims)
    ideal = np.full(M.shape[1:3] + M.shape[4:], np.nan)
    trained, under = (list(ood[name].values) for name in ("specimen", "train"))
    for b, specimen in enumerate(ood.test_specimen.values):
        for j, condition in enumerate(ood.test.values):
            if specimen in trained and condition in under:
                ideal[:, b, j] = M.values[trained.index(specimen), :, b, under.index(condition), j]
    return M.copy(data=ideal[None, :, :, None, :] - M.values)


def explained(
    ood: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset,
    draws: int = 500,
) -> xr.Dataset:
    """Return each predictor's rank correlation with the gaps, and the sources of the variance.

    Only gaps whose training and test conditions have the same dose are used. The predictors of the
    gaps are all distances between images, and all information metrics of two conditions. The
    information metrics have the weight of spatial frequencies of the training specimen, or the flat
    weight if the training specimen has no weight.

    Args:
        ood, information, distances: Results of the same study; see
            :func:`passband.analysis.ood.metrics`, :func:`passband.analysis.information.metrics` and
            :func:`passband.analysis.distances.gather`.
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
    if ood.sizes["specimen"] < 2:
        raise PassbandError(
            f"specimens = {', '.join(map(str, ood.specimen.values))}: two or more training "
            "specimens are needed for a comparison"
        )
    gap = gaps(ood)
    predictors = _predictors(gap, information, distances)
    same_specimen = (gap.specimen == gap.test_specimen).values[:, None, :, None, None]
    same_condition = (gap.train == gap.test).values
    same_dose = (gap.train_dose_e_per_A2 == gap.test_dose_e_per_A2).values
    among = np.isfinite(gap.values) & same_dose
    cells = {
        "lens": among & same_specimen & ~same_condition,
        "structure": among & ~same_specimen & same_condition,
        "both": among & ~same_specimen & ~same_condition,
    }
    # For each architecture, each pair of specimens has a number, and each pair of conditions has a
    # number.
    a, kinds, b, i, j = gap.shape
    specimens = np.arange(a * kinds * b).reshape(a, kinds, b, 1, 1)
    conditions = np.arange(kinds * i * j).reshape(1, kinds, 1, i, j)
    groups = [np.broadcast_to(numbers, gap.shape) for numbers in (conditions, specimens)]
    rho = np.full((len(SHIFTS), len(predictors), 3), np.nan)
    share = np.full((len(SHIFTS), 2), np.nan)
    for s, shift in enumerate(SHIFTS):
        where = cells[shift]
        for k, values in enumerate(predictors.values()):
            there = where & np.isfinite(values)
            if there.any():
                clusters = np.unique(groups[1][there], return_inverse=True)[1]
                counts = resample(clusters.max() + 1, draws, 0, shift)
                rho[s, k] = _rank_correlation(values[there], gap.values[there], clusters, counts)
        for k, numbers in enumerate(groups):
            share[s, k] = _between(gap.values[where], numbers[where])
    alike = ood.dice.where(ood.train == ood.test).mean(["architecture", "train", "test"])
    return xr.Dataset(
        {
            "dice": alike.transpose("specimen", "test_specimen"),
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


def _predictors(
    gap: xr.DataArray, information: xr.Dataset, distances: xr.Dataset
) -> dict[str, np.ndarray]:
    """Return every predictor of the gaps, with the same dimensions in the same order as the gaps.

    The sign of the predictors in :data:`LIKENESSES` is reversed, so that all predictors are larger
    for larger gaps.
    """
    predictors = {}
    conditions = {d: gap[d].values for d in ("train", "test")}
    for name, metric in information.sel(conditions).items():
        if set(metric.dims) == {"weight", "train", "test"}:
            weights = [
                specimen if specimen in information.weight.values else "flat"
                for specimen in gap.specimen.values
            ]
            values = metric.sel(weight=weights).transpose("weight", "train", "test").values
            predictors[str(name)] = np.broadcast_to(values[:, None, None], gap.shape)
    for name, distance in distances.items():
        predictors[str(name)] = (
            distance.sel({d: gap[d].values for d in gap.dims}).transpose(*gap.dims).values
        )
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
