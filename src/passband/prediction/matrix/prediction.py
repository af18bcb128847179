"""Prediction of M(i, j) for held-out pairs of conditions, and scores of the predictions.

Models are fitted to mean Dice. The features of the models are metrics of the transfer functions of
both conditions. The models are evaluated for conditions that they were not fitted to, and for whole
levels (values) of an imaging parameter that they were not fitted to. The baselines are the same
models with other sets of features.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import interval_edges, percentile_interval, with_interval
from passband.analysis.groups import group_names
from passband.grid import axes_of
from passband.prediction.matrix import completion, design, smoothness
from passband.prediction.matrix.cross_validation import (
    ALL,
    CONDITIONS,
    CTF,
    SCORES,
    SIDES,
    Clusters,
    FoldResult,
    Profiled,
    evaluate_fold,
    folds,
    labels,
    score,
)
from passband.prediction.matrix.features import Features, feature_sets
from passband.prediction.matrix.level_scores import level_scores
from passband.prediction.matrix.matrices import matrices, targets
from passband.prediction.matrix.models import (
    COMBINED,
    COVERAGE,
    MEMBERS,
    MODELS,
    PROCESS,
    STACKED,
    one_thread,
)

#: Models that have prediction intervals, and scores of single folds.
WITH_INTERVALS = (STACKED, PROCESS, COMBINED)


def predict(
    metrics: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset | None = None,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    axes: Iterable[str] | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
    profiles: Mapping[str, xr.Dataset] | None = None,
) -> xr.Dataset:
    """Return scored predictions of M(i, j), j ≠ i, by models that were not fitted to M(i, j).

    Args:
        metrics: OOD metrics, see :func:`passband.analysis.ood.metrics`.
        information: Information metrics of the same conditions, see
            :func:`passband.analysis.information.metrics`.
        distances: Distances between conditions, see
            :func:`passband.prediction.matrix.features.feature_sets`.
        draws: Number of bootstrap samples of the conditions. With 0, the scores have no intervals.
        confidence: Intended coverage of the intervals of scores, which are percentile intervals of
            bootstrap samples.
        axes: The axes along which folds hold out conditions; see
            :class:`passband.prediction.matrix.cross_validation.Fold`.
        threads: Number of folds that are computed at the same time.
        profiles: For each training specimen, profiles of all conditions with the specimen's
            spectrum, see :func:`passband.analysis.profiles.profiles`. With profiles, the set of
            features ``ctf`` has two more models: `process`, the Gaussian process on profiles, and
            `combined`.

    Returns:
        All variables have the dimensions (specimen, architecture, test_specimen). In this list, …
        means these three dimensions:

        - Each of :data:`passband.prediction.matrix.cross_validation.SCORES` over (…, features,
          model, part), and the score's interval ``{name}_interval``. A part of the predictions is
          one fold, or all folds of an axis and a side. The coordinates `part_axis`, `part_end` (the
          side) and `part_level` describe each part. Single folds have scores only for the models
          :data:`WITH_INTERVALS`.
        - `gain` over (…, features, part): R² of the stack with the set of features ``ctf`` minus R²
          of the stack with another set of features, for the same bootstrap samples.
        - `stack` over (…, features, member, part): the weight of each member in the stack, averaged
          over folds.
        - `process_weight` over (…, part), with profiles: the weight of `process` in `combined`,
          averaged over folds.
        - `predicted` and `predicted_interval` over (…, axis, end, train, test): the Dice that is
          predicted with the features ``ctf`` by the model :func:`headline`. The dimension `end` is
          the side that folds hold out.
        - `true` over (…, train, test): the true mean Dice, M(i, j).

    Raises:
        TooFewError: If all Dice matrices are too small, see
            :func:`passband.prediction.matrix.matrices.matrices`.
    """
    from sklearn.utils.parallel import Parallel, delayed

    axes, parts = tuple(axes or (CONDITIONS, *axes_of(metrics))), []
    for cells in matrices(metrics, seed):
        Y, clusters = targets(cells), Clusters.of(cells, draws, seed, "prediction")
        same = information.sel(train=cells.train.values, test=cells.test.values)
        sets = feature_sets(cells, same, distances)
        levels = {axis: labels(cells, axis, seed) for axis in (CONDITIONS, *axes_of(cells))}
        profiled = None
        if profiles is not None:
            ends = (
                profiles[str(cells.specimen.values)].sel(condition=cells[d].values)
                for d in ("train", "test")
            )
            profiled = Profiled(*ends, cells.dice.transpose("train", "test").values.astype(float))
        # Processes are used instead of threads, because scikit-learn's fits in several threads slow
        # each other down.
        pool = Parallel(n_jobs=threads, return_as="generator")
        jobs = (
            delayed(evaluate_fold)(fold, Y, sets, levels, seed, profiled)
            for fold in folds(cells, np.isfinite(Y), axes, seed)
        )
        results = list(progress(pool(jobs)))
        together: dict[tuple[str, str, str], list[FoldResult]] = {}
        for result in results:
            fold = result.fold
            together.setdefault((fold.axis, fold.side, ALL), []).append(result)
            together[fold.axis, fold.side, fold.level] = [result]
        scores = _scores(together, Y, clusters, threads)
        part = _dataset(cells, sets, results, together, scores, confidence)
        parts.append(part.expand_dims({d: [name] for d, name in group_names(cells).items()}))
    # One Dice matrix may lack features that another Dice matrix has, such as CKA for a test
    # specimen that no network was trained on.
    names = list(dict.fromkeys(str(name) for part in parts for name in part.features.values))
    parts = [part.reindex(features=names) for part in parts]
    # The coordinate has numbers in place of names, because combining the data sets needs a sorted
    # coordinate.
    parts = [part.assign_coords(features=range(len(names))) for part in parts]
    together = xr.combine_by_coords(parts, combine_attrs="drop_conflicts")
    return together.assign_coords(features=names)


def assess(
    table: xr.Dataset,
    metrics: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset | None,
    profiles: Mapping[str, xr.Dataset],
    draws: int,
    confidence: float,
    seed: int,
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
) -> xr.Dataset:
    """Return all results of the stage `prediction`: of :func:`predict` and of what follows from it.

    Args:
        table: The table of results, see :func:`passband.analysis.table.aggregate`. For the others,
            see :func:`predict`.
    """
    both, sampled = (metrics, information), (draws, confidence, seed)
    predicted = predict(
        *both, distances, *sampled, progress=progress, threads=threads, profiles=profiles
    )
    parts = [
        predicted,
        smoothness.monotonicity(*both, *sampled),
        smoothness.steps(table),
        design.design(*both, predicted, seed),
        completion.completion(*both, table.sizes["replica"], seed, progress),
        level_scores(table, metrics, profiles, seed, progress),
    ]
    return xr.merge(parts, combine_attrs="drop_conflicts")


def headline(predicted: xr.Dataset) -> str:
    """Return the name of the model with the predictions `predicted`.

    The model is `combined` if the predictions were made with profiles, and `stacked` otherwise.
    """
    return COMBINED if COMBINED in predicted.model.values else STACKED


def _scores(
    together: Mapping[tuple[str, str, str], list[FoldResult]],
    Y: np.ndarray,
    clusters: Clusters,
    threads: int,
) -> dict[tuple, dict[str, np.ndarray]]:
    """Return the scores of each set of features, model and part of the predictions."""
    (first, *_), *_ = together.values()
    jobs = [
        (name, model, part)
        for name, model in first.predicted
        for part in together
        if model in WITH_INTERVALS or part[-1] == ALL
    ]

    def scored(job: tuple) -> dict[str, np.ndarray]:
        name, model, part = job
        interval = name, model if model in WITH_INTERVALS else STACKED
        parts = [(j.cells, j.predicted[name, model], j.bounds[interval]) for j in together[part]]
        return score(parts, Y, clusters)

    with one_thread(), ThreadPoolExecutor(threads) as pool:
        return dict(zip(jobs, pool.map(scored, jobs), strict=True))


def _dataset(
    cells: xr.Dataset,
    sets: Mapping[str, Features],
    results: list[FoldResult],
    together: Mapping[tuple[str, str, str], list[FoldResult]],
    scores: Mapping[tuple, dict[str, np.ndarray]],
    confidence: float,
) -> xr.Dataset:
    parts, edges = list(together), interval_edges(confidence)
    has_process = (CTF, COMBINED) in results[0].predicted
    models = [*MODELS, *((PROCESS, COMBINED) if has_process else ())]
    best = COMBINED if has_process else STACKED
    shape = (len(sets), len(models), len(parts))
    values = {name: np.full((*shape, 3), np.nan) for name in SCORES}
    gain = np.full((len(sets), len(parts), 3), np.nan)

    def described(samples: np.ndarray) -> list[float]:
        return [samples[0], *percentile_interval(samples[1:], edges)]

    for (name, model, part), by_score in scores.items():
        place = list(sets).index(name), models.index(model), parts.index(part)
        for score_, samples in by_score.items():
            if model in WITH_INTERVALS or score_ not in ("coverage", "width"):
                values[score_][place] = described(samples)
        if model == STACKED:
            gain[place[0], place[2]] = described(scores[CTF, STACKED, part]["r2"] - by_score["r2"])
    method = "percentile bootstrap over training and test conditions as clusters"
    variables = {}
    for name, dims, value, words in (
        *((n, ("features", "model", "part"), values[n], words) for n, words in SCORES.items()),
        ("gain", ("features", "part"), gain, "R² with ctf minus R² with these features, stacked"),
    ):
        variables |= with_interval(name, dims, value, words, confidence, method=method)
    axes = list(dict.fromkeys(result.fold.axis for result in results))
    total = np.zeros((len(axes), len(SIDES), cells.sizes["train"], cells.sizes["test"], 4))
    for result in results:
        part_sum = total[axes.index(result.fold.axis), SIDES.index(result.fold.side)]
        part_sum[result.cells] += np.column_stack(
            [np.ones(result.cells.sum()), result.predicted[CTF, best], result.bounds[CTF, best]]
        )
    with np.errstate(invalid="ignore"):
        mean = total[..., 1:] / np.where(total[..., :1] > 0, total[..., :1], np.nan)
    dims = ("axis", "end", "train", "test")
    words = {"units": "1", "long_name": "mean Dice M(i, j), j ≠ i"}
    variables["true"] = (("train", "test"), targets(cells), words)
    words = {"units": "1", "long_name": f"Dice predicted by {best} from transfer and dose"}
    variables["predicted"] = (dims, mean[..., 0].astype("float32"), words)
    words = {"units": "1", "long_name": f"{COVERAGE:.0%} prediction interval of Dice"}
    variables["predicted_interval"] = ((*dims, "bound"), mean[..., 1:].astype("float32"), words)
    stack = np.full((len(sets), len(MEMBERS), len(parts)), np.nan)
    for k, part in enumerate(parts):
        for n, name in enumerate(sets):
            stack[n, :, k] = np.mean([result.stack[name] for result in together[part]], 0)
    words = {"units": "1", "long_name": "weight of a model in the stack, mean over folds"}
    variables["stack"] = (("features", "member", "part"), stack, words)
    if has_process:
        share = [np.mean([result.share for result in together[part]]) for part in parts]
        words = {"units": "1", "long_name": "weight of process in combined, mean over folds"}
        variables["process_weight"] = ("part", share, words)
    ends = {name: c for name, c in cells.coords.items() if set(c.dims) in ({"train"}, {"test"})}
    return xr.Dataset(
        variables,
        coords={
            **ends,
            "features": list(sets),
            "model": models,
            "member": list(MEMBERS),
            "axis": axes,
            "end": list(SIDES),
            "bound": ["low", "high"],
            "part": ["/".join(part) for part in parts],
            **{
                f"part_{name}": ("part", [p[k] for p in parts])
                for k, name in enumerate(("axis", "end", "level"))
            },
        },
    )
