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
#: What stands for a training condition in place of the mean over replicas: one of them.
SELECTIONS: dict[str, str] = {
    "dice_selected": "Dice of the replica with the lowest validation loss in distribution",
    "dice_oracle": "Dice of the replica that is best under the test condition itself",
}


def ctf_distance(information: xr.Dataset, weight: str) -> np.ndarray:
    """Return 1 − σ of the absolute transfers as (train, test): 0 for like, 1 for disjoint ones."""
    return 1 - information.overlap_abs.sel(weight=weight).values


def selections(table: xr.Dataset) -> xr.Dataset:
    """Return the Dice of one replica for each pair of conditions, as two rules choose it.

    A choice by what the network has not seen is DomainBed's oracle, "test-domain validation"
    (Gulrajani & Lopez-Paz 2021): a bound on what any rule could reach, and no result to compare by.

    Parameters
    ----------
    table : Dataset
        With `dice` and `val_loss`, see :func:`passband.table.aggregate`.

    Returns
    -------
    Dataset
        Each of :data:`SELECTIONS`, (specimen, architecture, test_specimen, train, test). Replicas
        that are missing are passed over; NaN where all are.
    """
    dice, losses = table.dice.compute(), table.val_loss.compute()
    chosen = dice.isel(replica=losses.fillna(np.inf).argmin("replica"))
    rules = ("lowest validation loss on the training condition", "oracle: by the test condition")
    found = {}
    for (name, words), value, rule in zip(
        SELECTIONS.items(), (chosen, dice.max("replica")), rules, strict=True
    ):
        value = value.transpose("specimen", "architecture", "test_specimen", "train", "test")
        attrs = {"units": "1", "long_name": words, "selection": rule}
        found[name] = (value.dims, value.values.astype(float), attrs)
    return xr.Dataset(found)


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


def _there(D: np.ndarray) -> np.ndarray:
    """Return the replicas of D (replica, test, structure) that are not NaN."""
    return D[np.isfinite(D[:, 0, 0])]


def _mean(D: np.ndarray) -> np.ndarray:
    """Return the mean of D (replica, test, structure) as (test,); NaN without a replica."""
    D = _there(D)
    return D.mean((0, 2)) if len(D) else np.full(D.shape[1], np.nan)


def _deviation(D: np.ndarray) -> np.ndarray:
    """Return the deviation of D over replicas, as :func:`_mean`; NaN with fewer than two."""
    D = _there(D)
    return D.mean(2).std(0, ddof=1) if len(D) > 1 else np.full(D.shape[1], np.nan)


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
    """Return percentiles of the draws (draws, ...) as (..., 2), draws that are NaN left out.

    To seven digits: to sort numbers of half the length in their order in memory takes a third of
    the time of `np.quantile`, and percentiles were most of the bootstrap's.
    """
    samples = np.ascontiguousarray(np.moveaxis(samples, 0, -1), dtype=np.float32)
    samples.sort(axis=-1)  # NaN come last
    last = np.maximum(np.isfinite(samples).sum(-1, keepdims=True) - 1, 0)
    place = last * np.array(edges)
    below = place.astype(int)
    low, high = (
        np.take_along_axis(samples, k, -1).astype(float)
        for k in (below, np.minimum(below + 1, last))
    )
    return low + (high - low) * (place - below)


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
        deviation, ``{name}_interval`` with the dimension `bound` (low, high). Of several replicas,
        also each of :data:`SELECTIONS`.
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
    found = _dataset(values, table, draws, confidence)
    return found.assign(selections(table).data_vars) if table.sizes["replica"] > 1 else found


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

    def dice_of(i: int, columns: slice = slice(None)) -> np.ndarray:
        counts = cells.isel(train=i, test=columns)
        return dice(counts.transpose("replica", "test", "structure", "outcome").values)

    # M(j, j) of every test condition, as it is and in every draw, before all else: to keep every
    # row would take too much memory at the paper's scale.
    ideal, ideal_draws = np.full(test, np.nan), np.full((draws, test), np.nan)

    def find_ideal(i: int) -> None:
        if (k := own[i]) is not None:
            D = dice_of(i, slice(k, k + 1))
            ideal[k] = _mean(D)[0]
            ideal_draws[:, k] = _means(D, weights[i])[:, 0]

    def of_row(i: int) -> dict[str, np.ndarray]:
        D = dice_of(i)
        found = _of_row(_mean(D), ideal, own[i], near[i]) | {"dice_std": _deviation(D)}
        if draws:
            samples = _of_row(_means(D, weights[i]), ideal_draws, own[i], near[i])
            found |= {f"{name}_interval": _interval(v, edges) for name, v in samples.items()}
        return found

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(find_ideal, range(train)))
        rows = list(pool.map(of_row, range(train)))
    values = {name: np.stack([found[name] for found in rows]) for name in rows[0]}
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

    The figures after ± are standard deviations over training conditions, ddof = 1. Of several
    replicas, a line below says what choosing one of them makes of the mean out of distribution.
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
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows]
    if "dice_oracle" in metrics:
        other = metrics.train != metrics.test
        every, chosen, oracle = (
            float(metrics[name].where(other).mean()) for name in ("dice", *SELECTIONS)
        )
        lines += [
            "",
            f"Out of distribution, all replicas have a mean Dice of {every:.3f}, those chosen by "
            f"validation loss {chosen:.3f}, and those best under each test condition itself "
            f"{oracle:.3f}: an oracle, which no one has.",
        ]
    return "\n".join(lines)


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
