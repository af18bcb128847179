"""Out-of-distribution (OOD) metrics of matrices.

M(i, j) is the mean Dice, over test structures and replicas, of networks that were trained under
condition i and are tested under condition j. The metrics that are means over images are parts, in
:mod:`passband.analysis.ood_metrics` and in a study's own folder.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from passband.analysis.metric_function import MetricFunction
from passband.analysis.rows import Row
from passband.matrices.crossed_intervals import Share, half_width, moderated, variance
from passband.matrices.matrix import Matrix
from passband.matrices.stored import group_coordinates, together
from passband.parts import PACKAGE, PAIR, TRAIN, Parts

_PAIR = ("train", "test")
#: Metrics that are no means over images, so that they have no interval.
_FURTHER = {
    "dice_std": "standard deviation of mean Dice over replicas, ddof = 1",
    "effective_robustness": "residual of logit(ood) on logit(id) over training conditions",
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


def selections(matrix: Matrix) -> dict[str, xr.Variable]:
    """Return, for each pair of conditions, the Dice of a replica chosen by each of two rules.

    The first rule chooses the replica with the lowest validation loss. The second rule chooses with
    the test data, like DomainBed's oracle, "test-domain validation" (Gulrajani & Lopez-Paz 2021).
    The Dice of the oracle is an upper bound for all rules, so do not compare it with other results.

    Returns:
        Each of :data:`SELECTIONS`, (train, test). Missing replicas are ignored. The Dice is NaN if
        all replicas are missing.
    """
    dice = matrix.by_network
    losses = matrix.training.val_loss
    chosen = dice.isel(replica=losses.fillna(np.inf).argmin("replica"))
    rules = ("lowest validation loss on the training condition", "oracle: by the test condition")
    choices = {}
    for (name, words), value, rule in zip(
        SELECTIONS.items(), (chosen, dice.max("replica")), rules, strict=True
    ):
        attrs = {"units": "1", "long_name": words, "selection": rule}
        values = value.transpose(*_PAIR).values.astype(float)
        choices[name] = xr.Variable(_PAIR, values, attrs)
    return choices


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
    matrices: Sequence[Matrix],
    information: xr.Dataset,
    confidence: float | None = 0.95,
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
    parts: Parts = PACKAGE,
) -> xr.Dataset:
    """Return the OOD metrics of matrices, with confidence intervals.

    Args:
        matrices: All matrices of a study. Each thread reads the images of one row at a time. If
            networks were tested under their own conditions, the metrics `id` and `gap_model` exist
            for every row, and otherwise for those that are test conditions.
        information: Information metrics of the same conditions, see
            :func:`passband.analysis.information.metrics`.
        confidence: Intended coverage of the confidence intervals, see
            :mod:`passband.matrices.crossed_intervals`. None: there are no confidence intervals.
        threads: Number of rows that are computed at the same time.
        parts: All parts that the study knows.

    Returns:
        - `distance` (specimen, train, test), see :func:`distance`. Test conditions whose distance
          is below the median distance are near. All other test conditions are far.
        - Each metric of a training condition over (specimen, architecture, test_specimen, train),
          see :mod:`passband.analysis.ood_metrics`.
        - Each metric of two conditions over (specimen, architecture, test_specimen, train, test).
        - For each of these, its confidence interval ``{name}_interval`` with the dimension `bound`
          (low, high).
        - `effective_robustness`, over the same dimensions as metrics of a training condition.
        - `dice_std`, the standard deviation of mean Dice over replicas (ddof = 1), over the same
          dimensions as metrics of two conditions.
        - If there are several replicas, each of :data:`SELECTIONS`.

    Raises:
        PartError: If a metric of the study's own cannot be computed.
    """
    first = matrices[0]
    information = information.sel(train=list(first.rows), test=list(first.columns))
    # The weight of the metrics is the spectrum of the training specimen, for every test specimen.
    known = information.weight.values
    apart = {
        name: distance(information, name if name in known else "flat")
        for name in dict.fromkeys(matrix.specimen for matrix in matrices)
    }
    names = [matrix.name for matrix in matrices]
    functions = {
        name: MetricFunction(part)
        for name, part in parts.of("ood_metric").items()
        if not part.declaration.needs or first.has_variable(part.declaration.needs)
    }
    found = (
        _metrics_of_matrix(matrix, apart[matrix.specimen], functions, confidence, threads)
        for matrix in progress(matrices)
    )
    variables = together(names, map(_variables, found))
    _describe(variables, functions, first.structures, confidence)
    words = "share of the information under the better condition that the other condition lacks"
    variables["distance"] = xr.Variable(
        ("specimen", "train", "test"),
        np.stack(list(apart.values())),
        {"units": "1", "long_name": words},
    )
    if len(first.replicas) > 1:
        variables |= together(names, map(selections, matrices))
    bounds = {} if confidence is None else {"bound": ["low", "high"]}
    return xr.Dataset(variables, first.coordinates | group_coordinates(names) | bounds)


def of_rows(metrics: xr.Dataset) -> list[str]:
    """Return the names of the metrics of a training condition that are means over images."""
    return _named(metrics, TRAIN, ("train",), _FURTHER)


def of_pairs(metrics: xr.Dataset) -> list[str]:
    """Return the names of the metrics of two conditions that are means over images."""
    return _named(metrics, PAIR, ("train", "test"), ("distance", *_FURTHER, *SELECTIONS))


def _named(
    metrics: xr.Dataset, of: str, dims: tuple[str, ...], further: Iterable[str]
) -> list[str]:
    """Return the names of metrics, first the package's in their order."""
    package = [n for n, part in PACKAGE.of("ood_metric").items() if part.declaration.of == of]
    stored = [str(name) for name, v in metrics.items() if {*v.dims} == {*dims}]
    known = [name for name in package if name in stored]
    return [*known, *(name for name in stored if name not in {*package, *further})]


def _metrics_of_matrix(
    matrix: Matrix,
    apart: np.ndarray,
    functions: Mapping[str, MetricFunction],
    confidence: float | None,
    threads: int,
) -> dict[str, np.ndarray]:
    """Return all OOD metrics of a matrix, with intervals.

    Args:
        apart: (train, test), distances between training and test conditions, see :func:`distance`.
    """
    train, test = apart.shape
    own = matrix.own
    # Mixtures do not change what is near and far for the other rows.
    others = np.ones_like(apart, dtype=bool)
    others[matrix.is_mixture] = False
    for i, k in enumerate(own):
        if k is not None:
            others[i, k] = False
    near = apart < (np.median(apart[others]) if others.any() else 0.0)

    structures = matrix.structures
    # A condition without networks keeps one replica, which is NaN.
    kept = np.zeros((train, len(matrix.replicas)), dtype=bool)

    # Dice of each image under j, of the networks that were trained under j, is found first: if all
    # images were kept instead, those of the paper's study would take too much memory.
    ideal = np.full((test, structures), np.nan)

    def find_ideal(i: int) -> None:
        if (k := own[i]) is not None:
            D = matrix.images(i, slice(k, k + 1))[:, 0]
            there = np.isfinite(D[:, 0])
            there[0] |= not there.any()
            ideal[k] = D[there].mean(0)

    def statistics_of_row(i: int) -> dict[str, np.ndarray]:
        """Return mean Dice, its variances over replicas and over images, for each metric."""
        images = matrix.images(i)
        kept[i] = np.isfinite(images[:, 0, 0])
        kept[i, 0] |= not kept[i].any()
        D = images[kept[i]]
        home = matrix.home(i, images)
        row = Row(
            dice=D,
            home=np.full_like(D[:, 0], np.nan) if home is None else home[kept[i]],
            ideal=ideal,
            own=own[i],
            near=near[i],
            matrix=matrix,
            number=i,
            replicas=kept[i],
        )
        shapes = {
            TRAIN: (row.home.shape, "(replica, structure)"),
            PAIR: (D.shape, "(replica, test, structure)"),
        }
        found = {name: each(row, *shapes[each.declared.of]) for name, each in functions.items()}
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
    fitted = ~matrix.is_mixture
    values["effective_robustness"] = effective_robustness(values["id"], values["ood"], fitted)
    if confidence is not None:
        for name, interval in _intervals(
            statistics, functions, kept.sum(1), fitted, own, structures, confidence
        ):
            values[f"{name}_interval"] = interval
    return values


def _intervals(
    statistics: dict[str, np.ndarray],
    functions: Mapping[str, MetricFunction],
    replicas: np.ndarray,
    fitted: np.ndarray,
    own: Sequence[int | None],
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
        declared = functions[name].declared
        number = replicas.reshape(-1, *[1] * (mean.ndim - 1))
        if declared.against != "ideal":
            rows_used = fitted.reshape(number.shape)
            share = moderated(over_replicas, number - 1, mean, among=rows_used)
            of_replicas[name] = share / number
            shares = [of_replicas[name]]
        else:  # the networks of another condition are others, and of the same condition the same
            ideal = Share(np.full((1, mean.shape[1]), np.nan), np.zeros((1, mean.shape[1])))
            for i, k in zip(rows, columns, strict=True):
                ideal.variance[:, k] = of_replicas["dice"].variance[i, k]
                ideal.freedom[:, k] = of_replicas["dice"].freedom[i, k]
            shares = [of_replicas["dice"], ideal]
        width = half_width(confidence, *shares, Share(over_images / structures, structures - 1.0))
        if declared.against:
            width[rows, columns] = 0 * mean[rows, columns]
        yield name, np.clip(np.stack([mean - width, mean + width], -1), *declared.limits)


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


def _variables(values: dict[str, np.ndarray]) -> dict[str, xr.Variable]:
    """Return the metrics of a matrix with their dimensions."""
    found = {}
    for name, value in values.items():
        bound = ("bound",) * name.endswith("_interval")
        dims = _PAIR[: value.ndim - len(bound)] + bound
        found[name] = xr.Variable(dims, value)
    return found


def _describe(
    variables: dict[str, xr.Variable],
    functions: Mapping[str, MetricFunction],
    structures: int,
    confidence: float | None,
) -> None:
    """Say in the attributes of the metrics of all matrices what they are."""
    described = {name: function.attrs for name, function in functions.items()}
    for name, words in _FURTHER.items():
        described[name] = {"units": "1", "long_name": words}
    several = bool(np.isfinite(variables["dice_std"].values).any())
    method = _method(several, structures > 1)
    for name, variable in variables.items():
        metric = name.removesuffix("_interval")
        variable.attrs = dict(described[metric])
        if metric != name:
            words = described[metric]["long_name"]
            variable.attrs["long_name"] = f"{confidence:.0%} interval of {words}"
            variable.attrs["method"] = method
