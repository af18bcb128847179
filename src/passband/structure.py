"""How far transfer functions, and other distances, tell what another specimen does to a network.

The gap of a network trained on specimen a under condition i, tested on specimen b under j, is
M(b→b; j, j) − M(a→b; i, j): what it lacks to a network that was trained on what it is tested on.
Training and test, at the same dose, differ in the lens, in the specimen, or in both.
"""

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from passband import PassbandError
from passband.ood import resample

#: What differs between training and test.
SHIFTS: dict[str, str] = {
    "lens": "another lens, the same specimen",
    "structure": "another specimen, the same lens",
    "both": "another specimen and another lens",
}
#: Predictors that are larger for what is alike; of all others, more is farther.
LIKENESSES = frozenset(
    {
        "overlap", "overlap_abs", "coverage", "shared_capacity", "capacity_coverage", "fidelity",
        "fidelity_abs", "cka",
    }
)  # fmt: skip


def gaps(ood: xr.Dataset) -> xr.DataArray:
    """Return M(b→b; j, j) − M(a→b; i, j) over (specimen, architecture, test_specimen, train, test).

    NaN where no network was trained on the test specimen under the test condition.

    Parameters
    ----------
    ood : Dataset
        See :func:`passband.ood.metrics`.
    """
    dims = "specimen", "architecture", "test_specimen", "train", "test"
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
    seed: int = 0,
) -> xr.Dataset:
    """Return how well each predictor orders the gaps of each shift, and what these hang on.

    Pairs of conditions are of the same dose, so that what differs is the lens or the specimen.

    Parameters
    ----------
    ood, information, distances : Dataset
        Of the same study: see :func:`passband.ood.metrics`,
        :func:`passband.information.metrics` and :func:`passband.distances.gather`. Every metric of
        pairs of conditions is a predictor, under the weight of the specimen trained on if it is
        there, else the flat one; and every distance.
    draws : int
        Bootstrap samples for the intervals.
    seed : int
        Their seed.

    Returns
    -------
    Dataset
        `dice` (specimen, test_specimen): mean M of equal conditions. `rho` (shift, predictor):
        Spearman's correlation of predictor and gap, of its negative for those of
        :data:`LIKENESSES`, so that 1 is a perfect distance; NaN where a predictor is constant.
        `rho_interval` (…, bound): its 95% interval, percentiles of a bootstrap over pairs of
        specimens, ranks those of all cells. `share` (shift, source): the share of the gaps'
        variance between pairs of conditions, which is the most that any function of the two
        conditions can explain, and between pairs of specimens; adjusted for the number of groups
        (ε², Kelley 1935). `cells` (shift): how many gaps there are.

    Raises
    ------
    PassbandError
        If fewer than two specimens were trained on.
    """
    if ood.sizes["specimen"] < 2:
        raise PassbandError(
            f"specimens = {', '.join(map(str, ood.specimen.values))}: must be two or more that are "
            "trained on, for one to be compared with another"
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
    a, kinds, b, i, j = gap.shape  # numbers of pairs of specimens, and of conditions, by network
    specimens = np.arange(a * kinds * b).reshape(a, kinds, b, 1, 1)
    conditions = np.arange(kinds * i * j).reshape(1, kinds, 1, i, j)
    groups = [np.broadcast_to(of, gap.shape) for of in (conditions, specimens)]
    rho = np.full((len(SHIFTS), len(predictors), 3), np.nan)
    share = np.full((len(SHIFTS), 2), np.nan)
    for s, shift in enumerate(SHIFTS):
        where = cells[shift]
        for k, values in enumerate(predictors.values()):
            there = where & np.isfinite(values)
            if there.any():
                clusters = np.unique(groups[1][there], return_inverse=True)[1]
                counts = resample(clusters.max() + 1, draws, seed, shift)
                rho[s, k] = _rank_correlation(values[there], gap.values[there], clusters, counts)
        for k, of in enumerate(groups):
            share[s, k] = _between(gap.values[where], of[where])
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
    """Return every predictor over the gaps' dimensions, in their order, larger where farther."""
    found = {}
    at = {d: gap[d].values for d in ("train", "test")}
    for name, of in information.sel(at).items():
        if set(of.dims) == {"weight", "train", "test"}:
            weights = [
                specimen if specimen in information.weight.values else "flat"
                for specimen in gap.specimen.values
            ]
            values = of.sel(weight=weights).transpose("weight", "train", "test").values
            found[str(name)] = np.broadcast_to(values[:, None, None], gap.shape)
    for name, of in distances.items():
        found[str(name)] = of.sel({d: gap[d].values for d in gap.dims}).transpose(*gap.dims).values
    return {
        name: -values if name in LIKENESSES else values.astype(float)
        for name, values in found.items()
    }


def _rank_correlation(
    x: np.ndarray, y: np.ndarray, clusters: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return Spearman's correlation of x and y (points), and the ends of its interval.

    Parameters
    ----------
    x, y : (points,) float arrays
        What to correlate.
    clusters : (points,) int array
        Number of each point's cluster.
    counts : (draws, clusters) array
        How often each cluster is in each bootstrap sample.
    """
    # Metrics of conditions with themselves are alike but for rounding: NaN, and no correlation.
    a, b = ((rank - rank.mean()) / len(x) for rank in (rankdata(np.round(x, 12)), rankdata(y)))
    moments = [np.bincount(clusters, v) for v in (np.ones(len(x)), a, b, a * b, a * a, b * b)]
    counts = np.vstack([np.ones(counts.shape[1]), counts])  # the sample itself, and the draws
    total, *sums = (counts @ moment for moment in moments)
    mean_a, mean_b, ab, aa, bb = (of / total for of in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = (ab - mean_a * mean_b) / np.sqrt((aa - mean_a**2) * (bb - mean_b**2))
    drawn = rho[1:][np.isfinite(rho[1:])]
    return np.array([rho[0], *(np.quantile(drawn, [0.025, 0.975]) if len(drawn) else 2 * [np.nan])])


def _between(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the share of the variance between groups, adjusted for their number (ε²)."""
    _, of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(values) <= len(sizes) or np.ptp(values) == 0:
        return float("nan")
    means = np.bincount(of, values) / sizes
    within = np.sum((values - means[of]) ** 2) / (len(values) - len(sizes))
    return float(1 - within / values.var(ddof=1))


def summary(found: xr.Dataset) -> str:
    """Return :func:`explained`'s correlations and shares as a Markdown table, a row for each."""
    rows = []
    for name in found.predictor.values:
        cells = []
        for shift in SHIFTS:
            of = found.sel(shift=shift, predictor=name)
            low, high = of.rho_interval.values
            cells.append(
                f"{float(of.rho):.2f} ({low:.2f} to {high:.2f})" if of.rho.notnull() else "constant"
            )
        rows.append(f"| ρ of {name} | {' | '.join(cells)} |")
    for source in found.source.values:
        # Added to 0, what rounds to −0% loses its sign.
        shares = (f"{round(float(v), 2) + 0.0:.0%}" for v in found.share.sel(source=source))
        rows.append(f"| variance between {source} | {' | '.join(shares)} |")
    numbers = (f"{int(value):,}" for value in found.cells)
    head = ["", *SHIFTS.values()]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]
    return "\n".join([*lines, f"| cells | {' | '.join(numbers)} |"])
