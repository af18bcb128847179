"""Is M(i, j) smooth over the grid, and monotonic along what the transfer functions say?

Steps between neighbours on the grid are compared with what their standard errors alone would make
of them, and mean Dice with the best monotonic function of each metric.
"""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from passband import holdout, ood, prediction
from passband.features import weights_of
from passband.grid import AXES
from passband.scores import dice

#: What is said of the steps along an axis, at an end.
STEPS: dict[str, str] = {
    "step": "mean of |ΔM| between neighbours on the grid",
    "step_noise": "what the mean of |ΔM| would be, were there noise alone",
    "step_largest": "largest |ΔM| between neighbours on the grid",
    "step_resolved": "share of steps beyond 1.96 standard errors",
    "bend": "mean of |M − line through its two neighbours|",
    "bend_noise": "what that mean would be, were there noise alone",
}

#: Mean of |x| over the root mean square of x, of a normal distribution.
_MEAN_OF_ABSOLUTE = np.sqrt(2 / np.pi)


def neighbours(pairs: xr.Dataset, end: str, axis: str) -> list[list[int]]:
    """Return the conditions of an end in lines along an axis, all else being equal.

    Parameters
    ----------
    pairs : Dataset
        With the coordinates ``{end}_{axis}``.
    end : {"train", "test"}
    axis : str
        One of :data:`passband.grid.AXES`.

    Returns
    -------
    list of list of int
        Places of conditions in the order of the axis, at least two in a line.
    """
    lines: dict[tuple, list[tuple[float, int]]] = {}
    values = {name: pairs[f"{end}_{name}"].values for name in AXES}
    for k in range(pairs.sizes[end]):
        others = tuple(values[name][k] for name in AXES if name != axis)
        lines.setdefault(others, []).append((values[axis][k], k))
    return [[k for _, k in sorted(line)] for line in lines.values() if len(line) > 1]


def steps(table: xr.Dataset, seed: int = 0) -> xr.Dataset:
    """Return how large the steps along each axis are, beside their noise.

    The variance of a difference of two cells' means is that of its mean over replicas, plus that of
    its mean over structures, which both cells share; replicas of different training conditions have
    nothing in common, and those of one under two test conditions are the same. Estimates of single
    steps rest on few replicas, so that the noise of all steps along an axis is pooled. One replica
    has no variance: then all is NaN that needs it.

    Parameters
    ----------
    table : Dataset
        See :func:`passband.table.aggregate`. Of more than :data:`passband.prediction.MOST`
        conditions at an end, a random choice would have no neighbours: lines along an axis are
        whole, and the other end alone is thinned.
    seed : int
        Of the choice.

    Returns
    -------
    Dataset
        Each of :data:`STEPS` and `steps`, their number, over (specimen, architecture,
        test_specimen, along, step_end), train being steps between networks and test such between
        test conditions.
    """
    dims = prediction.GROUP
    shape = tuple(table.sizes[d] for d in dims)
    found = {name: np.full((*shape, len(AXES), 2), np.nan) for name in (*STEPS, "steps")}
    most = prediction.MOST
    few = {
        end: np.unique(np.linspace(0, table.sizes[end] - 1, most).astype(int))
        if table.sizes[end] > most
        else np.arange(table.sizes[end])
        for end in ("train", "test")
    }
    for group in np.ndindex(shape):
        cells = table.counts.isel(dict(zip(dims, group, strict=True)))
        for e, end in enumerate(("train", "test")):
            other = {"train": "test", "test": "train"}[end]
            # D is (conditions of this end, of the other, replicas, structures).
            counts = cells.isel({other: few[other]}).transpose(
                end, other, "replica", "structure", "outcome"
            )
            D = np.stack([dice(counts[k].values).astype("float32") for k in range(len(counts))])
            for a, axis in enumerate(AXES):
                values = _along(D, table[f"{end}_{axis}"].values, neighbours(table, end, axis), end)
                for name, value in values.items():
                    found[name][(*group, a, e)] = value
    words = STEPS | {"steps": "number of steps"}
    return xr.Dataset(
        {
            name: ((*dims, "along", "step_end"), value, {"units": "1", "long_name": words[name]})
            for name, value in found.items()
        },
        coords={
            **{d: table[d].values for d in dims},
            "along": list(AXES),
            "step_end": ["train", "test"],
        },
    )


def _along(D: np.ndarray, x: np.ndarray, lines: Iterable[list[int]], end: str) -> dict[str, float]:
    """Return :data:`STEPS` of differences along the first axis of D (…, other, replica, structure).

    A step is a contrast with the weights (−1, 1) of two neighbours, a bend one of three: 1 for the
    middle, less what a straight line between its neighbours has there.
    """
    contrasts: dict[str, list[tuple[list[int], np.ndarray]]] = {"step": [], "bend": []}
    for line in lines:
        for k in range(len(line) - 1):
            contrasts["step"].append((line[k : k + 2], np.array([-1.0, 1.0])))
        for k in range(len(line) - 2):
            low, middle, high = x[line[k : k + 3]]
            share = (middle - low) / (high - low)
            contrasts["bend"].append((line[k : k + 3], np.array([share - 1, 1.0, -share])))
    found: dict[str, float] = {}
    for name, of in contrasts.items():
        if not of:
            continue
        sizes, variances = [], []
        for places, weights in of:
            mean, variance = _contrast(D[places].astype(float), weights, end == "test")
            sizes.append(mean)
            variances.append(variance)
        size, variance = np.concatenate(sizes), np.concatenate(variances)
        good = np.isfinite(size)
        if not good.any():
            continue
        some = variance[good & np.isfinite(variance)]
        pooled = np.sqrt(some.mean()) if len(some) else np.nan
        found[name] = np.abs(size[good]).mean()
        found[f"{name}_noise"] = pooled * _MEAN_OF_ABSOLUTE
        if name == "step":
            found["steps"] = good.sum()
            found["step_largest"] = np.abs(size[good]).max()
            if np.isfinite(pooled):
                found["step_resolved"] = (np.abs(size[good]) > 1.96 * pooled).mean()
    return found


def _contrast(
    D: np.ndarray, weights: np.ndarray, same_networks: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return a contrast of means and its variance, (other,), of D (cells, other, …).

    The last two axes are replicas and structures. A replica that is missing is left out; with fewer
    than two, the variance is NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        there = np.isfinite(D[..., 0]).sum(2)
        of_structure = np.einsum("c,cos->os", weights, _nanmean(D, 2))
        shared = of_structure.var(-1, ddof=1) / D.shape[-1]
        of_replica = D.mean(-1)
        if same_networks:
            per = np.einsum("c,cor->or", weights, of_replica)
            replica = _variance_of_mean(per)
        else:
            each = _variance_of_mean(of_replica)
            replica = np.einsum("c,co->o", weights**2, each)
    return of_structure.mean(-1), np.where((there > 1).all(0), replica + shared, np.nan)


def _variance_of_mean(values: np.ndarray) -> np.ndarray:
    """Return the variance of the mean over the last axis, NaN left out, NaN where one is left."""
    good = np.isfinite(values)
    number = good.sum(-1)
    deviations = np.where(good, values - _nanmean(values, -1)[..., None], 0)
    return np.where(number > 1, (deviations**2).sum(-1) / ((number - 1.0) * number), np.nan)


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    good = np.isfinite(values)
    return np.where(good, values, 0).sum(axis) / good.sum(axis)


#: How far mean Dice is a monotonic function of a metric.
MONOTONIC: dict[str, str] = {
    "along_rho": "Spearman's rank correlation of mean Dice and the metric",
    "along_rho_dose": "the same within pairs of doses",
    "along_r2": "R² of the best monotonic function of the metric",
    "along_r2_dose": "R² of the best monotonic function within each pair of doses, of what the "
    "doses do not explain",
}


def monotonicity(
    metrics: xr.Dataset,
    information: xr.Dataset,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Return how far M(i, j), j ≠ i, rises or falls with each metric of pairs of conditions.

    Parameters
    ----------
    metrics, information : Dataset
        See :func:`passband.ood.metrics` and :func:`passband.information.metrics`.
    draws : int
        Bootstrap samples of training and test conditions; the fitted functions stay as they are.
    confidence : float
        Coverage of the intervals.
    seed : int

    Returns
    -------
    Dataset
        Each of :data:`MONOTONIC` over (specimen, architecture, test_specimen, weight, metric), with
        its ``…_interval``. The weights are ``flat``, ``specimen``, the training specimen's own, and
        the bands of it.
    """
    dims = prediction.GROUP
    names = [n for n, v in information.data_vars.items() if {"train", "test"} <= set(v.dims)]
    of_specimen = {
        specimen: {
            weight if weight == "flat" else weight.replace(specimen, "specimen", 1): weight
            for weight in weights_of(information, specimen)
        }
        for specimen in map(str, metrics.specimen.values)
    }
    weights = list(dict.fromkeys(name for found in of_specimen.values() for name in found))
    shape = (*(metrics.sizes[d] for d in dims), len(weights), len(names))
    found = {name: np.full((*shape, 3), np.nan) for name in MONOTONIC}
    edges = [(1 - confidence) / 2, (1 + confidence) / 2]
    for cells in prediction.groups(metrics, seed):
        group = tuple(list(metrics[d].values).index(str(cells[d].values)) for d in dims)
        Y = prediction.targets(cells)
        good = np.isfinite(Y)
        doses = tuple(cells[f"{end}_dose_e_per_A2"].values for end in ("train", "test"))
        samples = tuple(
            ood.resample(number, draws, seed, "monotonicity", end)
            for number, end in zip(Y.shape, ("train", "test"), strict=True)
        )
        pair = np.unique(doses[0][:, None] + 1j * doses[1], return_inverse=True)[1].reshape(Y.shape)
        of = information.sel(train=cells.train.values, test=cells.test.values)
        for generic, weight in of_specimen[str(cells.specimen.values)].items():
            w = weights.index(generic)
            for n, name in enumerate(names):
                x = of[name].sel(weight=weight).transpose("train", "test").values[good]
                whole, by_dose = _monotonic(x, Y[good]), np.empty_like(x)
                for k in np.unique(pair[good]):
                    here = pair[good] == k
                    by_dose[here] = _monotonic(x[here], Y[good][here])
                scored = [
                    holdout.score([(good, p, np.zeros((len(p), 2)))], Y, doses, samples)
                    for p in (x, whole, by_dose)
                ]
                values = (
                    scored[0]["rho"],
                    scored[0]["rho_dose"],
                    scored[1]["r2"],
                    scored[2]["r2_dose"],
                )
                for key, v in zip(MONOTONIC, values, strict=True):
                    some = v[1:][np.isfinite(v[1:])]
                    interval = np.quantile(some, edges) if len(some) else (np.nan, np.nan)
                    found[key][(*group, w, n)] = [v[0], *interval]
    of = (*dims, "weight", "metric")
    variables = {}
    for name, value in found.items():
        words = {"units": "1", "long_name": MONOTONIC[name]}
        variables[name] = (of, value[..., 0], words)
        words = {"units": "1", "long_name": f"{confidence:.0%} interval of {MONOTONIC[name]}"}
        variables[f"{name}_interval"] = ((*of, "bound"), value[..., 1:], words)
    return xr.Dataset(
        variables,
        coords={
            **{d: metrics[d].values for d in dims},
            "weight": weights,
            "metric": names,
            "bound": ["low", "high"],
        },
    )


def _monotonic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the best monotonic function of x, rising or falling, at each x: least squares."""
    from sklearn.isotonic import isotonic_regression

    _, tie, count = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(tie, y) / count
    fits = [
        isotonic_regression(mean, sample_weight=count, increasing=up)[tie] for up in (True, False)
    ]
    return min(fits, key=lambda fit: ((fit - y) ** 2).sum())
