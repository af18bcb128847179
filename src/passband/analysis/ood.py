"""Out-of-distribution (OOD) metrics, computed from the table of results.

M(i, j) is the mean Dice, over test structures and replicas, of networks that were trained under
condition i and are tested under condition j.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import (
    deviation_over_replicas,
    interval_edges,
    mean_dice,
    percentile_intervals,
    resample,
    resampled_mean_dice,
)
from passband.analysis.groups import GROUP, groups
from passband.analysis.packed_table import by_image, image_dice, own_by_image
from passband.grid import is_condition
from passband.mixtures import MIXTURES, expected_weights

#: OOD metrics of a training condition (`SUMMARIES`), and of a pair of conditions (`MATRICES`).
SUMMARIES: dict[str, str] = {
    "id": "Dice under the training condition, M(i, i)",
    "ood": "mean Dice under the other test conditions",
    "worst": "lowest Dice under the other test conditions",
    "p10": "10th percentile of Dice under the other test conditions",
    "near": "mean Dice under the other test conditions below the median distance",
    "far": "mean Dice under the other test conditions at or beyond the median distance",
}
MATRICES: dict[str, str] = {
    "dice": "mean Dice M(i, j)",
    "gap_model": "M(i, i) − M(i, j): the network's loss of Dice under another condition",
    "gap_test": "M(j, j) − M(i, j): the difference to a network trained under the test condition",
}
#: Metrics that have the Dice of one replica, in place of the mean over replicas.
SELECTIONS: dict[str, str] = {
    "dice_selected": "Dice of the replica with the lowest validation loss in distribution",
    "dice_oracle": "Dice of the replica that is best under the test condition itself",
}


def distance(information: xr.Dataset, weight: str) -> np.ndarray:
    """Return the distance between each training and test condition, from lenses and doses.

    The distance is 1 − C(χ, χ′)/max(C(χ), C(χ′)), with the capacity C(χ) = ½∫log₂(1 + s) d²q and
    the shared capacity C(χ, χ′) = ½∫log₂(1 + min(s, s′)) d²q. The distance is a share of the
    information under the condition with the larger capacity: the share that is missing under the
    other condition. The distance is 0 if the spectral signal-to-noise ratios s are equal at all
    frequencies. It is 1 if no frequency has a signal under both conditions. The distance is
    symmetric. If the microscope has jitter, the capacities are expectations, and the distance
    between a condition and itself is above 0.

    Args:
        information: Data set with `capacity_train`, `capacity_test` and `shared_capacity`, from
            :func:`passband.analysis.information.metrics`.
        weight: Name of the weight of spatial frequencies. The capacities are computed with the
            spectrum of this weight.

    Returns:
        (train, test) float64: distances from 0 to 1, rounded to twelve digits, so that distances
        that differ only by rounding errors become equal. A distance is 0 if neither condition has
        any information.
    """
    weighted = information.sel(weight=weight)
    most = np.maximum.outer(weighted.capacity_train.values, weighted.capacity_test.values)
    shared = weighted.shared_capacity.transpose("train", "test").values
    share = np.divide(shared, most, out=np.ones_like(most), where=most > 0)
    return np.clip(1 - share, 0, 1).round(12) + 0.0  # no −0


def selections(table: xr.Dataset) -> xr.Dataset:
    """Return, for each pair of conditions, the Dice of a replica chosen by each of two rules.

    The first rule chooses the replica with the lowest validation loss. The second rule chooses with
    the test data, like DomainBed's oracle, "test-domain validation" (Gulrajani & Lopez-Paz 2021).
    The Dice of the oracle is an upper bound for all rules, so do not compare it with other results.

    Args:
        table: Table with `dice` and `val_loss`, see :func:`passband.analysis.table.aggregate`.

    Returns:
        Each of :data:`SELECTIONS` over (specimen, architecture, test_specimen, train, test).
        Missing replicas are ignored. The Dice is NaN if all replicas are missing.
    """
    dice, losses = table.dice.compute(), table.val_loss.compute()
    chosen = dice.isel(replica=losses.fillna(np.inf).argmin("replica"))
    rules = ("lowest validation loss on the training condition", "oracle: by the test condition")
    choices = {}
    for (name, words), value, rule in zip(
        SELECTIONS.items(), (chosen, dice.max("replica")), rules, strict=True
    ):
        value = value.transpose("specimen", "architecture", "test_specimen", "train", "test")
        attrs = {"units": "1", "long_name": words, "selection": rule}
        choices[name] = (value.dims, value.values.astype(float), attrs)
    return xr.Dataset(choices)


def summaries(
    M: np.ndarray,
    own: int | None,
    near: np.ndarray,
    far: np.ndarray,
    id: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the OOD metrics of one training condition.

    Args:
        M: (..., test), Dice under each test condition.
        own: Index of the training condition among the test conditions, or None if the training
            condition is not a test condition.
        near, far: (test,) bool.
        id: (...), Dice under the training condition, if it is no test condition. Without it, the
            metric `id` is NaN for such a training condition.

    Returns:
        A value of each metric in :data:`SUMMARIES`, (...); NaN if the metric has no test
        conditions.
    """
    other = np.ones(M.shape[-1], dtype=bool)
    if own is not None:
        other[own] = False

    def over(function: Callable, among: np.ndarray) -> np.ndarray:
        if not among.any():
            return np.full(M.shape[:-1], np.nan)
        return function(M[..., among])

    if own is not None:
        id = M[..., own]
    return {
        "id": np.full(M.shape[:-1], np.nan) if id is None else id,
        "ood": over(lambda v: v.mean(-1), other),
        "worst": over(lambda v: v.min(-1), other),
        "p10": over(lambda v: np.quantile(v, 0.1, axis=-1), other),
        "near": over(lambda v: v.mean(-1), other & near),
        "far": over(lambda v: v.mean(-1), other & far),
    }


def expectations(table: xr.Dataset) -> dict[int, np.ndarray | None]:
    """Return the weights of the test conditions in the expectation over each mixture of a table.

    Returns:
        By the index of the mixture along `train`, each (test,) float64. None if not all conditions
        of the mixture are test conditions, or if the table does not have the mixture's conditions.
    """
    ids = [str(id) for id in table.train.values]
    tests = [str(id) for id in table.test.values]
    content = json.loads(table.attrs.get(MIXTURES, "{}"))
    return {
        i: expected_weights(content.get(id, {}), tests)
        for i, id in enumerate(ids)
        if not is_condition(id)
    }


def effective_robustness(
    id: np.ndarray, ood: np.ndarray, fitted: np.ndarray | None = None
) -> np.ndarray:
    """Return effective robustness: the residual of logit(ood) on logit(id) (Taori et al. 2020).

    A straight line is fitted to logit(ood) over logit(id) of all networks. A network above this
    fitted line is more robust than its Dice in distribution explains.

    Args:
        id, ood: (networks,), mean Dice of each network in distribution and out of distribution,
            from 0 to 1.
        fitted: (networks,) bool, the networks to which the line is fitted. By default, all
            networks.

    Returns:
        (networks,): the residual of each network. A residual is NaN if `id` or `ood` is NaN. All
        residuals are NaN if there are fewer than three networks, or if all values of `id` are
        equal.
    """
    x, y = (np.log(p / (1 - p)) for p in (np.clip(v, 1e-4, 1 - 1e-4) for v in (id, ood)))
    good = np.isfinite(x) & np.isfinite(y) & (True if fitted is None else fitted)
    if good.sum() < 3 or np.ptp(x[good]) < 1e-9:
        return np.full(len(x), np.nan)
    slope, intercept = np.polyfit(x[good], y[good], 1)
    return y - (slope * x + intercept)


def metrics(
    table: xr.Dataset,
    information: xr.Dataset,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
) -> xr.Dataset:
    """Return the OOD metrics of a table of results, with confidence intervals.

    Args:
        table: The table of results, see :func:`passband.analysis.table.aggregate`, or a packed
            table, see :mod:`passband.analysis.packed_table`. Each thread reads the data of one
            training condition at a time. If the table has results under each network's own
            condition, the metrics `id` and `gap_model` exist for every training condition, and
            otherwise for those that are test conditions.
        information: Information metrics of the same conditions, see
            :func:`passband.analysis.information.metrics`.
        draws: Number of bootstrap samples. With 0, there are no confidence intervals.
        confidence: Intended coverage of the confidence intervals, which are percentile intervals of
            bootstrap samples.
        threads: Number of training conditions that are computed at the same time.

    Returns:
        - `distance` (specimen, train, test), see :func:`distance`. Test conditions whose distance
          is below the median distance are near. All other test conditions are far.
        - Each of :data:`SUMMARIES` over (specimen, architecture, test_specimen, train).
        - Each of :data:`MATRICES` over (specimen, architecture, test_specimen, train, test).
        - For each metric in :data:`SUMMARIES` and :data:`MATRICES`, its confidence interval
          ``{name}_interval`` with the dimension `bound` (low, high).
        - `effective_robustness`, over the same dimensions as the metrics in :data:`SUMMARIES`.
        - `dice_std`, the standard deviation of mean Dice over replicas (ddof = 1), over the same
          dimensions as the metrics in :data:`MATRICES`.
        - If there are several replicas, each of :data:`SELECTIONS`.
    """
    shape = tuple(table.sizes[d] for d in GROUP)
    place = {id: k for k, id in enumerate(table.test.values)}
    own = [place.get(id) for id in table.train.values]
    # All conditions have the same structures, so they have the same bootstrap samples of
    # structures, and differences between conditions are paired. Replicas of different training
    # conditions are independent.
    of_structure = resample(table.sizes["structure"], draws, seed, "structures")
    weights = [
        (of_structure, resample(table.sizes["replica"], draws, seed, id))
        for id in table.train.values
    ]
    edges = interval_edges(confidence)
    information = information.sel(train=table.train.values, test=table.test.values)
    # The weight of the metrics is the spectrum of the training specimen, for every test specimen.
    known = information.weight.values
    weight_of = {name: name if name in known else "flat" for name in table.specimen.values}
    apart = {name: distance(information, weight) for name, weight in weight_of.items()}
    values: dict[str, np.ndarray] = {}
    own_images = own_by_image(table)
    expected = expectations(table)
    for index, cells in progress(groups(by_image(table))):
        place = dict(zip(GROUP, index, strict=True))
        own_cells = None if own_images is None else own_images.isel(place)
        result = _metrics_of_group(
            *(cells, own_cells, apart[str(cells.specimen.values)], own, expected),
            *(weights, edges, threads),
        )
        for name, value in result.items():
            values.setdefault(name, np.full(shape + value.shape, np.nan))[index] = value
    result = _dataset(values, table, draws, confidence)
    words = "share of the information under the better condition that the other condition lacks"
    attrs = {"units": "1", "long_name": words}
    result["distance"] = ("specimen", "train", "test"), np.stack(list(apart.values())), attrs
    return result.assign(selections(table).data_vars) if table.sizes["replica"] > 1 else result


def small(metrics: xr.Dataset) -> xr.Dataset:
    """Return OOD metrics without the intervals of single pairs of conditions, in few bytes.

    The values are float32, rounded to multiples of 2⁻¹⁴ (0.00006), which zstd compresses well.
    """
    pairs = {"train", "test", "bound"}
    few = metrics.drop_vars(name for name, v in metrics.items() if pairs <= {*v.dims})
    return few.map(lambda v: np.round(v * 2.0**14).astype("float32") / 2**14, keep_attrs=True)


def _metrics_of_group(
    cells: xr.DataArray,
    own_cells: xr.DataArray | None,
    apart: np.ndarray,
    own: list[int | None],
    expected: dict[int, np.ndarray | None],
    weights: list[tuple[np.ndarray, np.ndarray]],
    edges: list[float],
    threads: int,
) -> dict[str, np.ndarray]:
    """Return all OOD metrics, with intervals, of one specimen, architecture and test specimen.

    Args:
        cells: (train, ...), counts of pixels, or packed Dice, of the specimen, architecture and
            test specimen.
        own_cells: (train, ...), the same under each training condition itself.
        apart: (train, test), distances between training and test conditions, see :func:`distance`.
        own: The index of each training condition among the test conditions; None if it is not a
            test condition.
        expected: See :func:`expectations`, each (test,).
    """
    train, test = apart.shape
    draws = len(weights[0][0])
    # Mixtures do not change what is near and far for the other rows.
    others = np.ones_like(apart, dtype=bool)
    others[list(expected)] = False
    for i, k in enumerate(own):
        if k is not None:
            others[i, k] = False
    near = apart < (np.median(apart[others]) if others.any() else 0.0)

    def dice_of(i: int, columns: slice = slice(None)) -> np.ndarray:
        return image_dice(cells.isel(train=i, test=columns), "replica", "test", "structure")

    # M(j, j) is computed first, for every test condition, from the data and from every bootstrap
    # sample. If all rows of the matrix were kept instead, the matrix of the paper's study would
    # take too much memory.
    ideal, ideal_draws = np.full(test, np.nan), np.full((draws, test), np.nan)

    def find_ideal(i: int) -> None:
        if (k := own[i]) is not None:
            D = dice_of(i, slice(k, k + 1))
            ideal[k] = mean_dice(D)[0]
            ideal_draws[:, k] = resampled_mean_dice(D, weights[i])[:, 0]

    def own_dice(i: int, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
        """Return Dice under a training condition that is no test condition, or None."""
        if own[i] is not None:
            return None
        if own_cells is not None:
            own_images = image_dice(own_cells.isel(train=i), "replica", "structure")
            return of(own_images[:, None])[..., 0]
        if (probability := expected.get(i)) is not None:
            return of(dice_of(i)) @ probability
        return None

    def metrics_of_row(i: int) -> dict[str, np.ndarray]:
        D = dice_of(i)
        id = own_dice(i, mean_dice)
        row = _metrics_of_row(mean_dice(D), ideal, own[i], near[i], id) | {
            "dice_std": deviation_over_replicas(D)
        }
        if draws:
            id = own_dice(i, lambda D: resampled_mean_dice(D, weights[i]))
            samples = _metrics_of_row(
                resampled_mean_dice(D, weights[i]), ideal_draws, own[i], near[i], id
            )
            row |= {
                f"{name}_interval": percentile_intervals(v, edges) for name, v in samples.items()
            }
        return row

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(find_ideal, range(train)))
        rows = list(pool.map(metrics_of_row, range(train)))
    values = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    fitted = np.array([i not in expected for i in range(train)])
    values["effective_robustness"] = effective_robustness(values["id"], values["ood"], fitted)
    return values


def _metrics_of_row(
    M: np.ndarray, ideal: np.ndarray, own: int | None, near: np.ndarray, id: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return all OOD metrics of one training condition; `M` and `ideal` are (..., test)."""
    metrics_of_condition = summaries(M, own, near, ~near, id)
    return metrics_of_condition | {
        "dice": M,
        "gap_model": metrics_of_condition["id"][..., None] - M,
        "gap_test": ideal - M,
    }


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
        metric = name.removesuffix("_interval")
        if metric == name:
            attrs = {"units": "1", "long_name": described[name]}
            variables[name] = (dims[: value.ndim], value, attrs)
        else:
            attrs = {
                "units": "1",
                "long_name": f"{confidence:.0%} interval of {described[metric]}",
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
