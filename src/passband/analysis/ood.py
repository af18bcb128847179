"""Out-of-distribution (OOD) metrics, computed from the table of results.

M(i, j) is the mean Dice, over test structures and replicas, of networks that were trained under
condition i and are tested under condition j.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from passband.analysis.crossed_intervals import Part, half_width, moderated, variance
from passband.analysis.groups import GROUP, groups
from passband.analysis.packed_table import by_image, image_dice, own_by_image
from passband.grid import is_condition
from passband.mixtures import MIXTURES, expected_weights
from passband.storage import json_text

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


def summary_weights(
    M: np.ndarray, own: int | None, near: np.ndarray, far: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the weight of each test condition in the OOD metrics of one training condition.

    Args:
        M: (test,), Dice under each test condition. It decides which conditions `worst` and `p10`
            take.
        own: Index of the training condition among the test conditions, or None if the training
            condition is not a test condition.
        near, far: (test,) bool.

    Returns:
        For each metric in :data:`SUMMARIES`, (test,): the metric is the weighted sum of M. All
        weights are NaN if the metric has no test conditions.
    """
    other = np.ones(len(M), dtype=bool)
    home = ~other
    if own is not None:
        other[own], home[own] = False, True

    def mean(among: np.ndarray) -> np.ndarray:
        return among / among.sum() if among.any() else np.full(len(M), np.nan)

    def quantile(share: float) -> np.ndarray:
        weights = mean(other) * 0
        if other.any():
            order = np.flatnonzero(other)[np.argsort(M[other], kind="stable")]
            below, part = divmod(share * (len(order) - 1), 1)
            weights[order[int(below)]] = 1 - part
            if part:
                weights[order[int(below) + 1]] = part
        return weights

    means = {"ood": other, "near": other & near, "far": other & far}
    weights = {name: mean(among) for name, among in ({"id": home} | means).items()}
    weights |= {"worst": quantile(0.0), "p10": quantile(0.1)}
    return {name: weights[name] for name in SUMMARIES}


def summaries(
    M: np.ndarray, own: int | None, near: np.ndarray, far: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each metric in :data:`SUMMARIES`, as in :func:`summary_weights`."""
    return {name: M @ w for name, w in summary_weights(M, own, near, far).items()}


def expectations(table: xr.Dataset) -> dict[int, np.ndarray | None]:
    """Return the weights of the test conditions in the expectation over each mixture of a table.

    Returns:
        By the index of the mixture along `train`, each (test,) float64. None if not all conditions
        of the mixture are test conditions, or if the table does not have the mixture's conditions.
    """
    ids = [str(id) for id in table.train.values]
    tests = [str(id) for id in table.test.values]
    content = json_text.parse(table.attrs.get(MIXTURES, "{}"))
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
    confidence: float | None = 0.95,
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
        confidence: Intended coverage of the confidence intervals, see
            :mod:`passband.analysis.crossed_intervals`. None: there are no confidence intervals.
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
            *(confidence, threads),
        )
        for name, value in result.items():
            values.setdefault(name, np.full(shape + value.shape, np.nan))[index] = value
    result = _dataset(values, table, confidence)
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
    confidence: float | None,
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
    # Mixtures do not change what is near and far for the other rows.
    others = np.ones_like(apart, dtype=bool)
    others[list(expected)] = False
    for i, k in enumerate(own):
        if k is not None:
            others[i, k] = False
    near = apart < (np.median(apart[others]) if others.any() else 0.0)

    structures = cells.sizes["structure"]
    # A condition without networks keeps one replica, which is NaN.
    kept = np.zeros((train, cells.sizes["replica"]), dtype=bool)

    def dice_of(i: int, columns: slice = slice(None)) -> np.ndarray:
        D = image_dice(cells.isel(train=i, test=columns), "replica", "test", "structure")
        kept[i] = np.isfinite(D[:, 0, 0])
        kept[i, 0] |= not kept[i].any()
        return D[kept[i]]

    # Dice of each image under j, of the networks that were trained under j, is found first: if all
    # images were kept instead, those of the paper's study would take too much memory.
    ideal = np.full((test, structures), np.nan)

    def find_ideal(i: int) -> None:
        if (k := own[i]) is not None:
            ideal[k] = dice_of(i, slice(k, k + 1))[:, 0].mean(0)

    def at_home(i: int, D: np.ndarray) -> np.ndarray:
        """Return Dice (replica, structure) under the training condition; NaN without results."""
        if (k := own[i]) is not None:
            return D[:, k]
        if own_cells is not None:
            return image_dice(own_cells.isel(train=i), "replica", "structure")[kept[i]]
        if (probability := expected.get(i)) is not None:
            return np.einsum("t,rts->rs", probability, D)
        return np.full_like(D[:, 0], np.nan)

    def statistics_of_row(i: int) -> dict[str, np.ndarray]:
        """Return mean Dice, its variances over replicas and over images, for each metric."""
        D = dice_of(i)
        weights = summary_weights(D.mean((0, 2)), own[i], near[i], ~near[i])
        found = {name: np.einsum("t,rts->rs", w, D) for name, w in weights.items()}
        found["id"] = at_home(i, D)
        found |= {"dice": D, "gap_model": found["id"][:, None] - D, "gap_test": ideal - D}
        return {
            name: np.stack([Y.mean((0, -1)), variance(Y.mean(-1), 0), variance(Y.mean(0))])
            for name, Y in found.items()
        }

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(find_ideal, range(train)))
        rows = list(pool.map(statistics_of_row, range(train)))
    statistics = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    values = {name: each[0] for name, each in statistics.items()}
    values["dice_std"] = np.sqrt(statistics["dice"][1])
    fitted = np.array([i not in expected for i in range(train)])
    values["effective_robustness"] = effective_robustness(values["id"], values["ood"], fitted)
    if confidence is not None:
        for name, interval in _intervals(
            statistics, kept.sum(1), fitted, own, structures, confidence
        ):
            values[f"{name}_interval"] = interval
    return values


def _intervals(
    statistics: dict[str, np.ndarray],
    replicas: np.ndarray,
    fitted: np.ndarray,
    own: list[int | None],
    structures: int,
    confidence: float,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the interval (train, ..., 2) of each metric.

    Args:
        statistics: By metric, (3, train, ...): mean, variance over replicas and over images.
        replicas: (train,), number of networks.
        fitted: (train,) bool, rows that say how much replicas differ: all but mixtures.
    """
    rows = [i for i, k in enumerate(own) if k is not None]
    columns = [own[i] for i in rows]
    of_replicas = {}
    for name, (mean, over_replicas, over_images) in statistics.items():
        number = replicas.reshape(-1, *[1] * (mean.ndim - 1))
        if name != "gap_test":
            rows_used = fitted.reshape(number.shape)
            part = moderated(over_replicas, number - 1, mean, among=rows_used)
            of_replicas[name] = part / number
            parts = [of_replicas[name]]
        else:  # the networks of another condition are others, and of the same condition the same
            ideal = Part(np.full((1, mean.shape[1]), np.nan), np.zeros((1, mean.shape[1])))
            for i, k in zip(rows, columns, strict=True):
                ideal.variance[:, k] = of_replicas["dice"].variance[i, k]
                ideal.freedom[:, k] = of_replicas["dice"].freedom[i, k]
            parts = [of_replicas["dice"], ideal]
        width = half_width(confidence, *parts, Part(over_images / structures, structures - 1.0))
        if name.startswith("gap_"):
            width[rows, columns] = 0 * mean[rows, columns]
        limits = (-1, 1) if name.startswith("gap_") else (0, 1)
        yield name, np.clip(np.stack([mean - width, mean + width], -1), *limits)


def _method(several_replicas: bool, several_images: bool) -> str:
    """Return what the intervals are for."""
    crossed = several_replicas and several_images
    what = {
        (True, True): "other networks, trained alike, and other images",
        (False, True): "other images and the same networks (no condition has several replicas)",
        (True, False): "other networks, trained alike, and the same image",
        (False, False): "nothing else: there is one replica and one image",
    }[several_replicas, several_images]
    moderation = "; the variance over replicas is moderated by all training conditions"
    return (
        f"Student's t for the mean of {what}{'; crossed components' * crossed}"
        f"{moderation * several_replicas}"
    )


def _dataset(
    values: dict[str, np.ndarray], table: xr.Dataset, confidence: float | None
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
    several = bool(np.isfinite(values["dice_std"]).any()), table.sizes["structure"] > 1
    method = _method(*several)
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
                "method": method,
            }
            variables[name] = ((*dims[: value.ndim - 1], "bound"), value, attrs)
    coords = {
        name: coordinate
        for name, coordinate in table.coords.items()
        if set(coordinate.dims) <= set(dims)
    }
    if confidence is not None:
        coords["bound"] = ["low", "high"]
    return xr.Dataset(variables, coords)
