"""Out-of-distribution metrics of a table.

M(i, j) is the mean Dice over test structures and replicas of networks trained under condition i
and tested under condition j.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from passband.scores import dice
from passband.seeds import generator

#: Metrics of a training condition, and of a pair of conditions.
SUMMARIES: dict[str, str] = {
    "id": "Dice under the training condition, M(i, i)",
    "ood": "mean Dice under the other test conditions",
    "worst": "lowest Dice under the other test conditions",
    "p10": "10th percentile of Dice under the other test conditions",
    "near": "mean Dice under the other test conditions nearer than the median CTF distance",
    "far": "mean Dice under the other test conditions at or beyond the median CTF distance",
}
MATRICES: dict[str, str] = {
    "dice": "mean Dice M(i, j)",
    "gap_model": "M(i, i) − M(i, j): what the network loses by leaving its condition",
    "gap_test": "M(j, j) − M(i, j): what it lacks to a network trained under the test condition",
}


def ctf_distance(information: xr.Dataset, weight: str) -> np.ndarray:
    """Return 1 − σ of the absolute transfers as (train, test): 0 for like, 1 for disjoint ones."""
    return 1 - information.overlap_abs.sel(weight=weight).values


def summaries(
    M: np.ndarray, own: int | None, near: np.ndarray, far: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the metrics of one training condition.

    Parameters
    ----------
    M : (..., test) float array
        Dice by test condition.
    own : int or None
        The training condition's place among the test conditions, None if it is not there; then
        `id` is NaN.
    near, far : (test,) bool arrays
        Which test conditions are near and far.

    Returns
    -------
    dict of str to (...) float array
        A value for each of :data:`SUMMARIES`; NaN where there is no such test condition.
    """
    other = np.ones(M.shape[-1], dtype=bool)
    if own is not None:
        other[own] = False

    def over(function: Callable, among: np.ndarray) -> np.ndarray:
        if not among.any():
            return np.full(M.shape[:-1], np.nan)
        return function(M[..., among])

    return {
        "id": M[..., own] if own is not None else np.full(M.shape[:-1], np.nan),
        "ood": over(lambda v: v.mean(-1), other),
        "worst": over(lambda v: v.min(-1), other),
        "p10": over(lambda v: np.quantile(v, 0.1, axis=-1), other),
        "near": over(lambda v: v.mean(-1), other & near),
        "far": over(lambda v: v.mean(-1), other & far),
    }


def effective_robustness(id: np.ndarray, ood: np.ndarray) -> np.ndarray:
    """Return the residual of OOD on ID performance on logit axes (Taori et al. 2020).

    A straight line is fitted to logit(ood) over logit(id) of all networks; a network above it is
    more robust than its performance in distribution explains.

    Parameters
    ----------
    id, ood : (networks,) float arrays
        Performances between 0 and 1.

    Returns
    -------
    (networks,) float array
        NaN where a performance is, and everywhere with fewer than three networks or equal ids.
    """
    x, y = (np.log(p / (1 - p)) for p in (np.clip(v, 1e-4, 1 - 1e-4) for v in (id, ood)))
    good = np.isfinite(x) & np.isfinite(y)
    if good.sum() < 3 or np.ptp(x[good]) < 1e-9:
        return np.full(len(x), np.nan)
    slope, intercept = np.polyfit(x[good], y[good], 1)
    return y - (slope * x + intercept)


def resample(number: int, draws: int, *names: str | int) -> np.ndarray:
    """Return how often each of some clusters is in each bootstrap sample.

    Parameters
    ----------
    number : int
        Clusters to draw from, and to draw.
    draws : int
        Bootstrap samples.
    *names : str or int
        What the seed is derived from.

    Returns
    -------
    (draws, number) float array
        Each row adds to `number`.
    """
    random = generator(*names, "bootstrap")
    return random.multinomial(number, np.full(number, 1 / number), size=draws).astype(float)


def _means(D: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return weighted means of D (replica, test, structure) as (draws, test).

    A replica that is NaN is left out; a draw that has no other is NaN.
    """
    of_structure, of_replica = weights
    there = np.isfinite(D[:, 0, 0])
    if not there.any():
        return np.full((len(of_replica), D.shape[1]), np.nan)
    D, of_replica = D[there], of_replica[:, there]
    # One matrix product over (replica, structure) pairs is far faster than a loop over draws.
    flat = D.transpose(0, 2, 1).reshape(-1, D.shape[1])
    pairs = of_replica[:, :, None] * of_structure[:, None, :]
    pairs = pairs.reshape(len(of_replica), len(flat))
    total = pairs @ flat
    with np.errstate(invalid="ignore"):
        return total / pairs.sum(1, keepdims=True)


def _interval(samples: np.ndarray, edges: list[float]) -> np.ndarray:
    """Return percentiles of the draws (draws, ...) as (..., 2), draws that are NaN left out."""
    bounds = np.quantile(samples, edges, axis=0)
    some = np.isnan(bounds[0]) & np.isfinite(samples).any(0)
    if some.any():  # np.nanquantile is slow and seldom needed
        bounds[:, some] = np.nanquantile(samples[:, some], edges, axis=0)
    return np.moveaxis(bounds, 0, -1)


def metrics(
    table: xr.Dataset,
    information: xr.Dataset,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
) -> xr.Dataset:
    """Return the OOD metrics of a table, with confidence intervals.

    Parameters
    ----------
    table : Dataset
        See :func:`passband.table.aggregate`. Read a training condition at a time.
    information : Dataset
        See :func:`passband.information.metrics`, of the same conditions.
    draws : int
        Bootstrap samples; 0 leaves the intervals out.
    confidence : float
        Coverage of the intervals, percentiles of the bootstrap.
    seed : int
        Seed of the bootstrap.
    progress : callable
        Wraps the iterable of groups of networks.
    threads : int
        Training conditions to take on at a time.

    Returns
    -------
    Dataset
        Each of :data:`SUMMARIES` and `effective_robustness` over (specimen, architecture,
        test_specimen, train), each of :data:`MATRICES` over (..., train, test), `dice_std` their
        standard deviation over replicas (ddof = 1), and, for each but the residual and the
        deviation, ``{name}_interval`` with the dimension `bound` (low, high).
    """
    dims = ("specimen", "architecture", "test_specimen")
    shape = tuple(table.sizes[d] for d in dims)
    place = {id: k for k, id in enumerate(table.test.values)}
    own = [place.get(id) for id in table.train.values]
    # Structures are the same under every condition and so are their samples, which pairs the
    # conditions; a replica of one condition has nothing to do with one of another.
    of_structure = resample(table.sizes["structure"], draws, seed, "structures")
    weights = [
        (of_structure, resample(table.sizes["replica"], draws, seed, id))
        for id in table.train.values
    ]
    edges = [(1 - confidence) / 2, (1 + confidence) / 2]
    information = information.sel(train=table.train.values, test=table.test.values)
    values: dict[str, np.ndarray] = {}
    for group in progress(list(np.ndindex(shape))):
        cells = table.counts.isel(dict(zip(dims, group, strict=True)))
        specimen = str(cells.specimen.values)
        weight = specimen if specimen in information.weight.values else "flat"
        found = _of_group(cells, ctf_distance(information, weight), own, weights, edges, threads)
        for name, value in found.items():
            values.setdefault(name, np.full(shape + value.shape, np.nan))[group] = value
    return _dataset(values, table, draws, confidence)


def _of_group(
    cells: xr.DataArray,
    distance: np.ndarray,
    own: list[int | None],
    weights: list[tuple[np.ndarray, np.ndarray]],
    edges: list[float],
    threads: int,
) -> dict[str, np.ndarray]:
    """Return all metrics, and their intervals, of one specimen, architecture and test specimen.

    Parameters
    ----------
    cells : (train, ...) DataArray
        The group's counts.
    distance : (train, test) array
        CTF distance.
    own : list of int or None
        Each training condition's place among the test conditions.
    weights : list of (array, array)
        For each training condition, the samples of structures and of replicas.
    edges : list of float
        The intervals' two quantiles.
    threads : int
        Training conditions to take on at a time.
    """
    train, test = distance.shape
    draws = len(weights[0][0])
    others = np.ones_like(distance, dtype=bool)
    for i, k in enumerate(own):
        if k is not None:
            others[i, k] = False
    near = distance < (np.median(distance[others]) if others.any() else 0.0)

    def row(i: int) -> np.ndarray:
        counts = cells.isel(train=i).transpose("replica", "test", "structure", "outcome")
        return dice(counts.values)

    # M(j, j) of every test condition, as it is and in every draw: a pass of its own over the
    # table, since all rows at once would not fit in memory at the paper's scale.
    means, deviations = np.full((2, train, test), np.nan)
    ideal, ideal_draws = np.full(test, np.nan), np.full((draws, test), np.nan)
    for i, k in enumerate(own):
        D = row(i)
        there = D[np.isfinite(D[:, 0, 0])]
        if len(there):
            means[i] = there.mean((0, 2))
        if len(there) > 1:
            deviations[i] = there.mean(2).std(0, ddof=1)
        if k is not None:
            ideal[k] = means[i, k]
            ideal_draws[:, k] = _means(D[:, [k]], weights[i])[:, 0]

    def of_row(i: int) -> dict[str, np.ndarray]:
        found = _of_row(means[i], ideal, own[i], near[i])
        if draws:
            samples = _of_row(_means(row(i), weights[i]), ideal_draws, own[i], near[i])
            found |= {f"{name}_interval": _interval(v, edges) for name, v in samples.items()}
        return found

    with ThreadPoolExecutor(threads) as pool:
        rows = list(pool.map(of_row, range(train)))
    values = {name: np.stack([found[name] for found in rows]) for name in rows[0]}
    values["dice_std"] = deviations
    values["effective_robustness"] = effective_robustness(values["id"], values["ood"])
    return values


def _of_row(
    M: np.ndarray, ideal: np.ndarray, own: int | None, near: np.ndarray
) -> dict[str, np.ndarray]:
    """Return all metrics of one training condition; `M` and `ideal` are (..., test)."""
    found = summaries(M, own, near, ~near)
    return found | {"dice": M, "gap_model": found["id"][..., None] - M, "gap_test": ideal - M}


def summary(metrics: xr.Dataset) -> str:
    """Return the metrics' means over training conditions as a Markdown table, a row per dose.

    The figures after ± are standard deviations over training conditions, ddof = 1.
    """
    names = ["id", "ood", "worst", "gap_test"]
    rows = []
    for (specimen, architecture, test), group in metrics.stack(
        network=("specimen", "architecture", "test_specimen")
    ).groupby("network"):
        group = group.squeeze("network")
        other = group.train != group.test
        frame = group[["id", "ood", "worst"]].to_dataframe()[["id", "ood", "worst"]]
        frame["gap_test"] = group.gap_test.where(other).mean("test").values
        doses = group.train_dose_e_per_A2.values
        for dose in [*sorted(set(doses)), None]:
            part = frame if dose is None else frame[doses == dose]
            cells = [f"{part[n].mean():.3f} ± {part[n].std(ddof=1):.3f}" for n in names]
            where = specimen if specimen == test else f"{specimen} → {test}"
            at = "all doses" if dose is None else f"{dose:g} e/Å²"
            rows.append(f"| {where}, {architecture} | {at} | {len(part)} | {' | '.join(cells)} |")
    head = ["networks", "trained at", "conditions", *names]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


def _dataset(
    values: dict[str, np.ndarray], table: xr.Dataset, draws: int, confidence: float
) -> xr.Dataset:
    described = (
        SUMMARIES
        | MATRICES
        | {
            "dice_std": "standard deviation of mean Dice over replicas, ddof = 1",
            "effective_robustness": "residual of logit(ood) on logit(id) over training conditions",
        }
    )
    dims = ("specimen", "architecture", "test_specimen", "train", "test")
    variables = {}
    for name, value in values.items():
        of = name.removesuffix("_interval")
        if of == name:
            attrs = {"units": "1", "long_name": described[name]}
            variables[name] = (dims[: value.ndim], value, attrs)
        else:
            attrs = {
                "units": "1",
                "long_name": f"{confidence:.0%} interval of {described[of]}",
                "method": f"percentile cluster bootstrap over structures and replicas, {draws} "
                "draws, paired across conditions",
            }
            variables[name] = ((*dims[: value.ndim - 1], "bound"), value, attrs)
    coords = {
        name: coordinate
        for name, coordinate in table.coords.items()
        if set(coordinate.dims) <= set(dims)
    }
    return xr.Dataset(variables, coords=coords | ({"bound": ["low", "high"]} if draws else {}))
