"""Predict M(i, j) for pairs of conditions never seen, and say how well that works.

Models learn mean Dice from what the transfer functions say of a pair of conditions, and are judged
on conditions, and whole levels of an imaging parameter, that they were not shown. Other sets of
features go through the same models: they are the baselines.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from passband import PassbandError, ood
from passband.config import FEWEST_PREDICTED as FEWEST
from passband.features import Features, feature_sets
from passband.grid import AXES
from passband.holdout import CONDITIONS, ENDS, SCORES, Judged, folds, judge, labels, score
from passband.predictors import COVERAGE, MEMBERS, MODELS, STACKED, one_thread
from passband.seeds import generator

#: Most conditions of each end that are taken, drawn at random; the cells of 144 × 144 are 20,736.
MOST = 144
#: Level of all folds of an axis and an end together.
ALL = "all"
#: What the networks of one matrix have in common.
GROUP = ("specimen", "architecture", "test_specimen")


class TooFewError(PassbandError):
    """The matrix is too small for a prediction to be judged."""


def predict(
    metrics: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset | None = None,
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    axes: Iterable[str] = (CONDITIONS, *AXES),
    progress: Callable[[Iterable], Iterable] = iter,
    threads: int = 1,
) -> xr.Dataset:
    """Return how well M(i, j), j ≠ i, is predicted where a model has not seen it.

    Of more than :data:`MOST` conditions at an end, a random choice stands for all.

    Parameters
    ----------
    metrics : Dataset
        See :func:`passband.ood.metrics`.
    information : Dataset
        See :func:`passband.information.metrics`, of the same conditions.
    distances : Dataset, optional
        See :func:`passband.features.feature_sets`.
    draws : int
        Bootstrap samples of the conditions; 0 leaves the intervals out.
    confidence : float
        Coverage of the intervals of scores, percentiles of the bootstrap.
    seed : int
        Of everything that is drawn.
    axes : iterable of str
        What to leave out; see :class:`passband.holdout.Fold`.
    progress : callable
        Wraps the iterable of folds.
    threads : int
        Folds to take on at a time.

    Returns
    -------
    Dataset
        Each of :data:`passband.holdout.SCORES` over (specimen, architecture, test_specimen,
        features, model, part), with its ``…_interval``; `gain`, the R² of the stack with ``ctf``
        less that with other features, over (…, features, part), paired; `stack`, the weight of each
        member in the stack, mean over folds, (…, features, member, part); and what the stack
        predicts with ``ctf``, `predicted` and `predicted_interval`, over (…, axis, end, train,
        test). A part is a fold, or all folds of an axis and an end together: its coordinates
        `part_axis`, `part_end` and `part_level` say which. Levels are scored for the stack alone.

    Raises
    ------
    TooFewError
        See :func:`groups`.
    """
    found = []
    for cells in groups(metrics, seed):
        of = information.sel(train=cells.train.values, test=cells.test.values)
        one = _predict(
            cells, of, distances, draws, confidence, seed, tuple(axes), progress, threads
        )
        found.append(one.expand_dims({d: [str(cells[d].values)] for d in GROUP}))
    # A matrix may lack features that another has, such as CKA where nothing was trained.
    names = list(dict.fromkeys(str(name) for one in found for name in one.features.values))
    found = [one.reindex(features=names) for one in found]
    found = [one.assign_coords(features=range(len(names))) for one in found]  # any order combines
    together = xr.combine_by_coords(found, combine_attrs="drop_conflicts")
    return together.assign_coords(features=names)


def groups(metrics: xr.Dataset, seed: int) -> list[xr.Dataset]:
    """Return the cells of each specimen, architecture and test specimen, over (train, test).

    Training conditions without networks are left out, groups with fewer than
    :data:`passband.config.FEWEST_PREDICTED` conditions at an end too, and of more than
    :data:`MOST` a random choice stands for all.

    Raises
    ------
    TooFewError
        If no group is left.
    """
    found, most = [], 0
    for group in np.ndindex(tuple(metrics.sizes[d] for d in GROUP)):
        cells = metrics.isel(dict(zip(GROUP, group, strict=True)))
        there = np.isfinite(cells.dice.transpose("train", "test").values).any(1)
        places = {"train": np.flatnonzero(there), "test": np.arange(cells.sizes["test"])}
        for end, place in places.items():
            if len(place) > MOST:
                # By name, so that a condition that is at both ends is taken at both or neither.
                lot = [generator(seed, "chosen", id).random() for id in cells[end].values[place]]
                places[end] = np.sort(place[np.argsort(lot)[:MOST]])
        fewest = min(map(len, places.values()))
        most = max(most, fewest)
        if fewest >= FEWEST:
            found.append(cells.isel(places))
    if not found:
        raise TooFewError(
            f"networks under {most} conditions: predictions are judged from {FEWEST} on"
        )
    return found


def _predict(
    cells: xr.Dataset,
    information: xr.Dataset,
    distances: xr.Dataset | None,
    draws: int,
    confidence: float,
    seed: int,
    axes: tuple[str, ...],
    progress: Callable[[Iterable], Iterable],
    threads: int,
) -> xr.Dataset:
    from sklearn.utils.parallel import Parallel, delayed

    Y = targets(cells)
    sets = feature_sets(cells, information, distances)
    by = {axis: labels(cells, axis, seed) for axis in (CONDITIONS, *AXES)}
    doses = tuple(cells[f"{end}_dose_e_per_A2"].values for end in ("train", "test"))
    weights = tuple(
        ood.resample(number, draws, seed, "prediction", end)
        for number, end in zip(Y.shape, ("train", "test"), strict=True)
    )
    asked = folds(cells, np.isfinite(Y), axes, seed)
    # Processes, since scikit-learn's fits get in each other's way in threads.
    pool = Parallel(n_jobs=threads, return_as="generator")
    judged = list(progress(pool(delayed(judge)(fold, Y, sets, by, seed) for fold in asked)))
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        together: dict[tuple[str, str, str], list[Judged]] = {}
        for one in judged:
            fold = one.fold
            together.setdefault((fold.axis, fold.end, ALL), []).append(one)
            together[fold.axis, fold.end, fold.level] = [one]
        jobs = [
            (name, model, part)
            for name in sets
            for model in MODELS
            for part in together
            if model == STACKED or part[-1] == ALL
        ]

        def scored(job: tuple) -> dict[str, np.ndarray]:
            name, model, part = job
            of = [(j.cells, j.predicted[name, model], j.bounds[name]) for j in together[part]]
            return score(of, Y, doses, weights)

        scores = dict(zip(jobs, pool.map(scored, jobs), strict=True))
    return _dataset(cells, sets, judged, together, scores, confidence)


def targets(cells: xr.Dataset) -> np.ndarray:
    """Return M(i, j) of a group as (train, test), NaN in distribution, which is not predicted."""
    Y = cells.dice.transpose("train", "test").values.astype(float)
    return np.where(cells.train.values[:, None] == cells.test.values, np.nan, Y)


def _dataset(
    cells: xr.Dataset,
    sets: Mapping[str, Features],
    judged: list[Judged],
    together: Mapping[tuple[str, str, str], list[Judged]],
    scores: Mapping[tuple, dict[str, np.ndarray]],
    confidence: float,
) -> xr.Dataset:
    parts, edges = list(together), [(1 - confidence) / 2, (1 + confidence) / 2]
    shape = (len(sets), len(MODELS), len(parts))
    values = {name: np.full((*shape, 3), np.nan) for name in SCORES}
    gain = np.full((len(sets), len(parts), 3), np.nan)

    def described(samples: np.ndarray) -> list[float]:
        some = samples[1:][np.isfinite(samples[1:])]
        return [samples[0], *(np.quantile(some, edges) if len(some) else (np.nan, np.nan))]

    for (name, model, part), found in scores.items():
        at = list(sets).index(name), MODELS.index(model), parts.index(part)
        for score_, samples in found.items():
            if model == STACKED or score_ not in ("coverage", "width"):
                values[score_][at] = described(samples)
        if model == STACKED:
            gain[at[0], at[2]] = described(scores["ctf", STACKED, part]["r2"] - found["r2"])
    dims = ("features", "model", "part")
    variables = {}

    def add(name: str, dims: tuple[str, ...], value: np.ndarray, words: str) -> None:
        attrs = {"units": "1", "long_name": words}
        variables[name] = (dims, value[..., 0], attrs)
        variables[f"{name}_interval"] = (
            (*dims, "bound"),
            value[..., 1:],
            {
                "units": "1",
                "long_name": f"{confidence:.0%} interval of {words}",
                "method": "percentile bootstrap over training and test conditions as clusters",
            },
        )

    for name, words in SCORES.items():
        add(name, dims, values[name], words)
    add("gain", ("features", "part"), gain, "R² with ctf less that with these features, stacked")
    schemes = list(dict.fromkeys((j.fold.axis, j.fold.end) for j in judged))
    axes = list(dict.fromkeys(axis for axis, _ in schemes))
    total = np.zeros((len(axes), len(ENDS), cells.sizes["train"], cells.sizes["test"], 4))
    for one in judged:
        at = total[axes.index(one.fold.axis), ENDS.index(one.fold.end)]
        at[one.cells] += np.column_stack(
            [np.ones(one.cells.sum()), one.predicted["ctf", STACKED], one.bounds["ctf"]]
        )
    with np.errstate(invalid="ignore"):
        mean = total[..., 1:] / np.where(total[..., :1] > 0, total[..., :1], np.nan)
    of = ("axis", "end", "train", "test")
    words = {"units": "1", "long_name": "mean Dice M(i, j), j ≠ i"}
    variables["true"] = (("train", "test"), targets(cells), words)
    words = {"units": "1", "long_name": "Dice predicted from transfer functions and doses"}
    variables["predicted"] = (of, mean[..., 0].astype("float32"), words)
    words = {"units": "1", "long_name": f"{COVERAGE:.0%} prediction interval of Dice"}
    variables["predicted_interval"] = ((*of, "bound"), mean[..., 1:].astype("float32"), words)
    stack = np.full((len(sets), len(MEMBERS), len(parts)), np.nan)
    for k, part in enumerate(parts):
        for n, name in enumerate(sets):
            stack[n, :, k] = np.mean([one.stack[name] for one in together[part]], 0)
    words = {"units": "1", "long_name": "weight of a model in the stack, mean over folds"}
    variables["stack"] = (("features", "member", "part"), stack, words)
    ends = {name: c for name, c in cells.coords.items() if set(c.dims) in ({"train"}, {"test"})}
    return xr.Dataset(
        variables,
        coords={
            **ends,
            "features": list(sets),
            "model": list(MODELS),
            "member": list(MEMBERS),
            "axis": axes,
            "end": list(ENDS),
            "bound": ["low", "high"],
            "part": ["/".join(part) for part in parts],
            **{
                f"part_{name}": ("part", [p[k] for p in parts])
                for k, name in enumerate(("axis", "end", "level"))
            },
        },
    )


def summary(predicted: xr.Dataset) -> str:
    """Return how well held-out cells are predicted as a Markdown table, a row per way to hold out.

    R² of the stack for each set of features, with its interval, and of the transfer functions' also
    ρ, R² within pairs of doses, and the share of cells within their prediction interval.
    """
    sets = [str(name) for name in predicted.features.values]
    head = ["matrix", "left out", "in", *(f"R², {name}" for name in sets)]
    head += ["ρ, ctf", "R² at given doses, ctf", f"within {COVERAGE:.0%} interval"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    stacked = predicted.sel(model=STACKED).stack(matrix=GROUP).dropna("matrix", how="all")
    for key in stacked.matrix.values:
        one = stacked.sel(matrix=key)
        name = ", ".join([key[1], key[0] if key[0] == key[2] else f"{key[0]} → {key[2]}"])
        for part in one.part.values[one.part_level.values == ALL]:
            of = one.sel(part=part)
            cells = [name, str(of.part_axis.values), str(of.part_end.values)]
            cells += [interval(of.sel(features=s), "r2") for s in sets]
            ctf = of.sel(features="ctf")
            cells += [interval(ctf, "rho"), interval(ctf, "r2_dose"), f"{float(ctf.coverage):.3f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(of: xr.Dataset, name: str) -> str:
    """Return a value and its interval for a reader, ``0.85 (0.81 to 0.88)``, or a dash for none."""
    if of[name].isnull():
        return "–"
    low, high = of[f"{name}_interval"].values
    return f"{float(of[name]):.2f} ({low:.2f} to {high:.2f})"
