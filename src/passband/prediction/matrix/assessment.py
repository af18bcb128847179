"""What the stage `prediction` says about the matrices of a study.

It says how well the Gaussian process predicts levels that are left out, from T(q) and from scaled
parameters; what it expects of training conditions without networks; and how smooth Dice is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import interval_edges, percentile_interval, with_interval
from passband.analysis.profiles import Profiles
from passband.matrices.matrix import Matrix
from passband.matrices.stored import group_coordinates, together
from passband.prediction.matrix.known_dice import (
    TooFewError,
    has_networks,
    large_enough,
    mean_dice,
)
from passband.prediction.matrix.level_scores import ENDS, fit, level_scores
from passband.prediction.matrix.smoothness import smoothness

#: Coverage of the intervals of the process.
COVERAGE = 0.9


def assess(
    matrices: Iterable[Matrix],
    profiles: Mapping[str, Profiles],
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> xr.Dataset:
    """Return the results of the stage `prediction`.

    Args:
        matrices: All matrices of a study.
        profiles: For each training specimen, profiles of all conditions with the specimen's
            spectrum.
        draws: Number of bootstrap samples of the interval of `smoothness`; 0 for no interval.
        confidence: Intended coverage of this interval.

    Returns:
        All variables have the dimensions (specimen, architecture, test_specimen). In this list, …
        means these three dimensions:

        - what :func:`passband.prediction.matrix.level_scores.level_scores` returns;
        - `true` (…, train, test): mean Dice;
        - what :func:`untrained` returns, if there are training conditions without networks;
        - `smoothness` and its interval, see
          :func:`passband.prediction.matrix.smoothness.smoothness`;
        - `noise_of_mean`: standard deviation of the noise that replicas leave in mean Dice, root
          mean square over cells; NaN if no condition has several replicas.

    Raises:
        TooFewError: If all matrices are too small, see
            :func:`passband.prediction.matrix.known_dice.large_enough`.
    """
    every = large_enough(matrices)
    parts = []
    for matrix in every:
        profile = profiles[matrix.specimen]
        found = level_scores(matrix, profile, seed, progress)
        found = found.assign(untrained(matrix, profile))
        parts.append(found.assign(_of_all(matrix, draws, confidence, seed)))
    for name in ("level", "axis"):  # matrices may differ in them, and keep their order
        values = list(dict.fromkeys(str(value) for part in parts for value in part[name].values))
        parts = [part.reindex({name: values}) for part in parts]
    return _stored(every, parts)


def unfinished(matrices: Iterable[Matrix], profiles: Mapping[str, Profiles]) -> xr.Dataset | None:
    """Return what :func:`assess` says of conditions without networks, in seconds.

    Returns:
        `expected`, `expected_interval` and `true`; None if all matrices are too small, or no
        condition lacks networks.
    """
    try:
        every = large_enough(matrices)
    except TooFewError:
        return None
    lacking = [matrix for matrix in every if not has_networks(matrix).all()]
    parts = [
        xr.Dataset(untrained(matrix, profiles[matrix.specimen]) | {"true": _true(matrix)})
        for matrix in lacking
    ]
    return _stored(lacking, parts) if parts else None


def untrained(matrix: Matrix, profiles: Profiles) -> dict[str, tuple]:
    """Return what the process expects of training conditions without networks.

    Args:
        matrix: A matrix that is large enough, without mixtures.
        profiles: Profiles of all conditions.

    Returns:
        The variables `expected` (train, test) and `expected_interval`, which are NaN for conditions
        with networks; none if all conditions have networks.
    """
    known = has_networks(matrix)
    if known.all():
        return {}
    train, test = (profiles.of(ids) for ids in (matrix.rows, matrix.columns))
    process = fit(mean_dice(matrix)[known], (train[known], test))
    found = np.full((3, len(known), len(matrix.columns)), np.nan, "float32")
    found[:, ~known] = process.interval(train[~known], None)
    words = "Dice that T(q) and the trained networks lead to expect"
    return with_interval("expected", ENDS, np.moveaxis(found, 0, -1), words, COVERAGE)


def _stored(matrices: Sequence[Matrix], parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return the results of several matrices as one store, in the order of their names."""
    names = [matrix.name for matrix in matrices]
    groups = group_coordinates(names)
    variables = ({str(n): v.variable for n, v in part.data_vars.items()} for part in parts)
    bounds = {"bound": ["low", "high"]}
    coordinates = {**parts[0].coords, **groups, **matrices[0].coordinates, **bounds}
    return xr.Dataset(together(names, variables), coordinates).sortby([*groups])


def _of_all(matrix: Matrix, draws: int, confidence: float, seed: int) -> dict[str, tuple]:
    """Return the mean Dice of a matrix, its smoothness and the noise of replicas."""
    found = smoothness(matrix, draws, seed)
    smooth = np.array([found[0], *percentile_interval(found[1:], interval_edges(confidence))])
    words = "share of the variance of Dice that neighbours on the grid have in common"
    noise = "standard deviation of the noise of replicas in mean Dice"
    return {
        "true": _true(matrix),
        **with_interval("smoothness", (), smooth, words, confidence),
        "noise_of_mean": ((), _noise_of_mean(matrix), {"units": "1", "long_name": noise}),
    }


def _noise_of_mean(matrix: Matrix) -> float:
    """Return the noise that replicas leave in mean Dice; NaN without several replicas."""
    D = matrix.by_network.values
    of_mean = np.full((len(matrix.rows), len(matrix.columns)), np.nan)
    for row in np.flatnonzero(matrix.trained.sum(1) > 1):
        replicas = D[row, matrix.trained[row]].astype(float)
        of_mean[row] = replicas.var(0, ddof=1) / len(replicas)
    return float(np.nanmean(of_mean)) ** 0.5 if np.isfinite(of_mean).any() else np.nan


def _true(matrix: Matrix) -> tuple:
    words = {"units": "1", "long_name": "mean Dice M(i, j)"}
    return ENDS, mean_dice(matrix).astype("float32"), words
