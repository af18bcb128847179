"""Smoothness of mean Dice over the grid, and its monotonic dependence on information metrics.

To measure smoothness, the steps of mean Dice M between neighbours on the grid of conditions are
compared with the steps that noise alone would cause. To measure monotonic dependence, M is compared
with the best monotonic function of each information metric.
"""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import interval_edges, percentile_interval, with_interval
from passband.analysis.crossed_intervals import Part, half_width, moderated, variance
from passband.analysis.groups import GROUP, group_names, groups
from passband.analysis.packed_table import by_image, image_dice
from passband.grid import axes_of
from passband.prediction.matrix.clusters import Clusters, error_terms, rank_terms
from passband.prediction.matrix.features import weights_of
from passband.prediction.matrix.matrices import MAX_CONDITIONS, matrices, targets

#: Statistics of the steps of mean Dice along an axis, on one side of the Dice matrix. ΔM is the
#: difference of mean Dice between two neighbours on the grid. The noise is the standard error of
#: mean Dice M.
STEPS: dict[str, str] = {
    "step": "mean of |ΔM| between neighbours on the grid",
    "step_noise": "mean of |ΔM| that noise alone would cause",
    "step_largest": "largest |ΔM| between neighbours on the grid",
    "step_resolved": "share of steps whose own 95% interval does not contain 0",
    "bend": "mean of |M − line through its two neighbours|",
    "bend_noise": "mean of |M − line through its two neighbours| that noise alone would cause",
}

#: Mean of |x| divided by the root mean square of x, for a normal distribution.
_MEAN_OF_ABSOLUTE = np.sqrt(2 / np.pi)


def neighbours(pairs: xr.Dataset, end: str, axis: str) -> list[list[int]]:
    """Return the lines of conditions along an axis, on one side of the Dice matrix.

    All conditions of a line have the same values of the three parameters that are not the axis.

    Args:
        pairs: Data set with the coordinates ``{end}_{axis}`` of all axes of the grid.
        end: `train` or `test`.
        axis: One of :data:`passband.axes.AXES`.

    Returns:
        For each line, the indices of its conditions in the order of the axis. A line has at least
        two conditions.
    """
    lines: dict[tuple, list[tuple[float, int]]] = {}
    values = {name: pairs[f"{end}_{name}"].values for name in axes_of(pairs)}
    for k in range(pairs.sizes[end]):
        others = tuple(values[name][k] for name in values if name != axis)
        lines.setdefault(others, []).append((values[axis][k], k))
    return [[k for _, k in sorted(line)] for line in lines.values() if len(line) > 1]


def steps(table: xr.Dataset, *, of_images: bool = True) -> xr.Dataset:
    """Return the size of Dice's steps along each axis, and the size that noise alone would cause.

    A step is the difference between the mean Dice of two cells. The variance of a step is the sum
    of two parts: the variance of the step's mean over replicas, and the variance of the step's mean
    over structures. Both cells of a step have the same structures. If the two cells of a step
    differ in the training condition, their replicas are independent. If the two cells of a step
    differ in the test condition, their replicas are the same networks. Each step has its own
    variance. Its part over replicas is moderated by that of the others, see
    :mod:`passband.analysis.crossed_intervals`. If all networks have one replica, there is no
    variance over replicas, and all values that depend on this variance are NaN.

    Args:
        table: The table of results, see :func:`passband.analysis.table.aggregate`. For steps along
            one side of the Dice matrix, all conditions of this side are used, because conditions
            that were drawn at random would have no neighbours. If the other side of the matrix has
            more than :data:`passband.prediction.matrix.matrices.MAX_CONDITIONS` conditions, this
            number of conditions of the other side is used, at even intervals.
        of_images: Whether the noise has the variance over structures. Without it, this is the noise
            of the replicas alone.

    Returns:
        Each of :data:`STEPS`, and `steps`, the number of steps, over (specimen, architecture,
        test_specimen, along, step_end). The dimension `along` has one entry for each axis of the
        grid. The dimension `step_end` has ``train`` for steps between networks and ``test`` for
        steps between test conditions.
    """
    shape, axes = tuple(table.sizes[d] for d in GROUP), axes_of(table)
    statistics = {name: np.full((*shape, len(axes), 2), np.nan) for name in (*STEPS, "steps")}
    few = {
        end: np.unique(np.linspace(0, table.sizes[end] - 1, MAX_CONDITIONS).astype(int))
        if table.sizes[end] > MAX_CONDITIONS
        else np.arange(table.sizes[end])
        for end in ("train", "test")
    }
    for group, cells in groups(by_image(table)):
        for e, end in enumerate(("train", "test")):
            other = {"train": "test", "test": "train"}[end]
            # D is (conditions of this side, conditions of the other side, replicas, structures).
            part = cells.isel({other: few[other]})
            dims = other, "replica", "structure"
            D = np.stack(
                [
                    image_dice(part.isel({end: k}), *dims).astype("float32")
                    for k in range(part.sizes[end])
                ]
            )
            for a, axis in enumerate(axes):
                x = table[f"{end}_{axis}"].values
                values = _along(D, x, neighbours(table, end, axis), end, of_images)
                for name, value in values.items():
                    statistics[name][(*group, a, e)] = value
    words = STEPS | {"steps": "number of steps"}
    return xr.Dataset(
        {
            name: ((*GROUP, "along", "step_end"), value, {"units": "1", "long_name": words[name]})
            for name, value in statistics.items()
        },
        coords={
            **{d: table[d].values for d in GROUP},
            "along": axes,
            "step_end": ["train", "test"],
        },
    )


def _along(
    D: np.ndarray, x: np.ndarray, lines: Iterable[list[int]], end: str, of_images: bool
) -> dict[str, float]:
    """Return the statistics :data:`STEPS` of differences in Dice between neighbouring conditions.

    D is the array of Dice: (conditions, conditions of the other side, replicas, structures). `x`
    has the values of the conditions on the axis, and `lines` is the result of :func:`neighbours`. A
    step is the contrast (weighted sum) of two neighbours with the weights −1 and 1. A bend is a
    contrast of three neighbours on a line: the mean Dice of the middle condition minus the value of
    a straight line between the first and the last condition.
    """
    contrasts: dict[str, list[tuple[list[int], np.ndarray]]] = {"step": [], "bend": []}
    for line in lines:
        for k in range(len(line) - 1):
            contrasts["step"].append((line[k : k + 2], np.array([-1.0, 1.0])))
        for k in range(len(line) - 2):
            low, middle, high = x[line[k : k + 3]]
            share = (middle - low) / (high - low)
            contrasts["bend"].append((line[k : k + 3], np.array([share - 1, 1.0, -share])))
    by_image, by_replica = _nanmean(D, 2), D.mean(-1)
    number = np.isfinite(by_replica).sum(-1)
    cells = moderated(_variance(by_replica), number - 1, by_image.mean(-1))
    statistics: dict[str, float] = {}
    for name, contrast in contrasts.items():
        if not contrast:
            continue
        places, weights = map(np.array, zip(*contrast, strict=True))
        of_images_each = [_contrast(by_image[k], w) for k, w in zip(places, weights, strict=True)]
        size = np.array([each.mean(-1) for each in of_images_each])
        if end == "test":  # the same networks are tested in all cells
            each = [_contrast(by_replica[k], w) for k, w in zip(places, weights, strict=True)]
            least = number[places].min(1)
            noise = moderated(_variance(np.array(each)), least - 1, size, networks=1)
            parts = [noise / np.maximum(least, 1)]
        else:
            of_mean = cells.variance / np.maximum(number, 1)
            parts = [
                Part(w[:, None] ** 2 * of_mean[k], cells.freedom[k])
                for k, w in zip(places.T, weights.T, strict=True)
            ]
        if of_images:
            shared = [variance(each) / D.shape[-1] for each in of_images_each]
            parts.append(Part(np.array(shared), np.array(D.shape[-1] - 1.0)))
        good = np.isfinite(size)
        if not good.any():
            continue
        total = sum(part.variance for part in parts)
        known = good & np.isfinite(total)
        size = np.abs(size)
        statistics[name] = size[good].mean()
        if known.any():
            statistics[f"{name}_noise"] = np.sqrt(total[known]).mean() * _MEAN_OF_ABSOLUTE
        if name == "step":
            statistics["steps"] = good.sum()
            statistics["step_largest"] = size[good].max()
            if known.any():
                statistics["step_resolved"] = (size > half_width(0.95, *parts))[known].mean()
    return statistics


def _contrast(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted sum of cells, (cells, other, ...)."""
    return np.einsum("c,cok->ok", weights, values)


def _variance(values: np.ndarray) -> np.ndarray:
    """Return the variance over the last dimension, without NaN; NaN with fewer than two values."""
    good = np.isfinite(values)
    deviations = np.where(good, values - _nanmean(values, -1)[..., None], 0)
    number = good.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 1, (deviations**2).sum(-1) / (number - 1.0), np.nan)


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    good = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(good, values, 0).sum(axis) / good.sum(axis)


#: Statistics of mean Dice as a monotonic function of an information metric.
MONOTONIC: dict[str, str] = {
    "along_rho": "Spearman's rank correlation of mean Dice and the metric",
    "along_rho_dose": "the same correlation within pairs of doses",
    "along_r2": "R² of the best monotonic function of the metric",
    "along_r2_dose": "R² of the best monotonic function within each pair of doses, for the part of "
    "Dice that the doses do not explain",
}


def monotonicity(
    metrics: xr.Dataset,
    information: xr.Dataset,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Return how well a monotonic function of each metric of two conditions explains mean Dice.

    Args:
        metrics, information: OOD metrics and information metrics, see
            :func:`passband.analysis.ood.metrics` and :func:`passband.analysis.information.metrics`.
        draws: Number of bootstrap samples of training and test conditions. The monotonic functions
            of the metrics are fitted only once, to all conditions.
        confidence: Intended coverage of the bootstrap intervals.

    Returns:
        Each statistic in :data:`MONOTONIC` over (specimen, architecture, test_specimen, weight,
        metric), and its interval ``{name}_interval``. Mean Dice is M(i, j), j ≠ i. The weights of
        spatial frequencies are ``flat``, ``specimen`` (the spectrum of the training specimen) and
        the bands of this spectrum.
    """
    names = [n for n, v in information.data_vars.items() if {"train", "test"} <= set(v.dims)]
    of_specimen = {
        specimen: {
            weight if weight == "flat" else weight.replace(specimen, "specimen", 1): weight
            for weight in weights_of(information, specimen)
        }
        for specimen in map(str, metrics.specimen.values)
    }
    weights = list(dict.fromkeys(name for generic in of_specimen.values() for name in generic))
    shape = (*(metrics.sizes[d] for d in GROUP), len(weights), len(names))
    statistics = {name: np.full((*shape, 3), np.nan) for name in MONOTONIC}
    edges = interval_edges(confidence)
    for cells in matrices(metrics, seed):
        group = tuple(list(metrics[d].values).index(n) for d, n in group_names(cells).items())
        Y = targets(cells)
        clusters = Clusters.of(cells, draws, seed, "monotonicity")
        same = information.sel(train=cells.train.values, test=cells.test.values)
        for generic, weight in of_specimen[str(cells.specimen.values)].items():
            w = weights.index(generic)
            for n, name in enumerate(names):
                x = same[name].sel(weight=weight).transpose("train", "test").values
                for key, v in _monotonic_scores(x, Y, clusters).items():
                    interval = percentile_interval(v[1:], edges)
                    statistics[key][(*group, w, n)] = [v[0], *interval]
    dims = (*GROUP, "weight", "metric")
    variables = {}
    for name, value in statistics.items():
        variables |= with_interval(name, dims, value, MONOTONIC[name], confidence)
    return xr.Dataset(
        variables,
        coords={
            **{d: metrics[d].values for d in GROUP},
            "weight": weights,
            "metric": names,
            "bound": ["low", "high"],
        },
    )


def _monotonic_scores(x: np.ndarray, Y: np.ndarray, clusters: Clusters) -> dict[str, np.ndarray]:
    """Return each statistic in :data:`MONOTONIC` for a metric x (train, test), as (1 + draws,).

    The first value of a statistic uses all conditions. All further values use bootstrap samples.
    """
    cells = np.flatnonzero(np.isfinite(Y))
    pair, x, y = (values.ravel()[cells] for values in (clusters.dose_pairs(), x, Y))
    fitted_by_dose = np.empty_like(x)
    for k in np.unique(pair):
        here = pair == k
        fitted_by_dose[here] = _monotonic(x[here], y[here])
    ranks, errors = rank_terms(y, x), error_terms(y, x)
    # NumPy rounds sums in the first eight columns differently from sums in later columns. The error
    # terms are not needed here. They are added because each sum is then in the same column as in
    # `score`.
    return {
        "along_rho": clusters.sums(cells, ranks | errors).rho(),
        "along_rho_dose": clusters.sums(cells, errors | rank_terms(y, x, pair)).rho_dose(),
        "along_r2": clusters.sums(cells, error_terms(y, _monotonic(x, y))).r2(),
        "along_r2_dose": clusters.sums(cells, error_terms(y, fitted_by_dose)).r2_dose(),
    }


def _monotonic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return, at each x, the monotonic function of x with the least squared error from y."""
    from sklearn.isotonic import isotonic_regression

    _, tie, count = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(tie, y) / count
    fits = [
        isotonic_regression(mean, sample_weight=count, increasing=up)[tie] for up in (True, False)
    ]
    return min(fits, key=lambda fit: ((fit - y) ** 2).sum())
