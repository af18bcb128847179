"""What the stage `prediction` says about the matrices of a study.

It says how well the Gaussian process predicts levels that are left out, from T(q) and from scaled
parameters; what it expects of training conditions without networks; and how smooth Dice is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from passband.analysis.bootstrap import interval_edges, percentile_interval, with_interval
from passband.analysis.profiles import Profiles
from passband.matrices.leaving import group_names
from passband.prediction.matrix.level_scores import ENDS, fit, level_scores
from passband.prediction.matrix.matrices import TooFewError, is_trained, matrices
from passband.prediction.matrix.smoothness import smoothness

#: Coverage of the intervals of the process.
COVERAGE = 0.9


def assess(
    table: xr.Dataset,
    profiles: Mapping[str, Profiles],
    draws: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> xr.Dataset:
    """Return the results of the stage `prediction`.

    Args:
        table: The table of results, see :func:`passband.analysis.table.aggregate`, without
            mixtures.
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
            :func:`passband.prediction.matrix.matrices.matrices`.
    """
    parts = []
    for cells in matrices(table):
        profile = profiles[str(cells.specimen.values)]
        found = [
            level_scores(cells, profile, seed, progress),
            untrained(cells, profile),
            _of_all(cells, draws, confidence, seed),
        ]
        parts.append(_named(xr.merge(found), cells))
    for name in ("level", "axis"):  # matrices may differ in them, and keep their order
        every = list(dict.fromkeys(str(value) for part in parts for value in part[name].values))
        parts = [part.reindex({name: every}) for part in parts]
    return _joined(parts, table)


def unfinished(table: xr.Dataset, profiles: Mapping[str, Profiles]) -> xr.Dataset | None:
    """Return what :func:`assess` says of conditions without networks, in seconds.

    Returns:
        `expected`, `expected_interval` and `true`; None if all matrices are too small, or no
        condition lacks networks.
    """
    try:
        every = matrices(table)
    except TooFewError:
        return None
    parts = []
    for cells in every:
        part = untrained(cells, profiles[str(cells.specimen.values)])
        if part:
            parts.append(_named(part.assign(true=_true(cells)), cells))
    return _joined(parts, table) if parts else None


def untrained(cells: xr.DataArray, profiles: Profiles) -> xr.Dataset:
    """Return what the process expects of training conditions without networks.

    Args:
        cells: A matrix, see :func:`passband.prediction.matrix.matrices.matrices`.
        profiles: Profiles of all conditions.

    Returns:
        `expected` (train, test) and `expected_interval`, which are NaN for conditions with
        networks; no variables if all conditions have networks.
    """
    known = is_trained(cells)
    if known.all():
        return xr.Dataset()
    train, test = (profiles.of(cells[end].values) for end in ENDS)
    process = fit(_mean(cells)[known], (train[known], test))
    found = np.full((3, len(known), cells.sizes["test"]), np.nan, "float32")
    found[:, ~known] = process.interval(train[~known], None)
    words = "Dice that T(q) and the trained networks lead to expect"
    return xr.Dataset(
        with_interval("expected", ENDS, np.moveaxis(found, 0, -1), words, COVERAGE),
        {end: cells[end].values for end in ENDS},
    )


def _named(part: xr.Dataset, cells: xr.DataArray) -> xr.Dataset:
    """Return the results of a matrix with the dimensions of all matrices."""
    return part.expand_dims({d: [name] for d, name in group_names(cells).items()})


def _joined(parts: Sequence[xr.Dataset], table: xr.Dataset) -> xr.Dataset:
    """Return the results of several matrices as one store, with the table's conditions."""
    whole = xr.merge(parts, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")
    ends = {name: c for name, c in table.coords.items() if c.dims in (("train",), ("test",))}
    return whole.assign_coords(ends | {"bound": ["low", "high"]})


def _of_all(cells: xr.DataArray, draws: int, confidence: float, seed: int) -> xr.Dataset:
    """Return the mean Dice of a matrix, its smoothness and the noise of replicas."""
    found = smoothness(cells.mean("replica"), draws, seed)
    smooth = np.array([found[0], *percentile_interval(found[1:], interval_edges(confidence))])
    words = "share of the variance of Dice that neighbours on the grid have in common"
    number = cells.notnull().sum("replica")
    of_mean = (cells.var("replica", ddof=1) / number).where(number > 1)
    noise = "standard deviation of the noise of replicas in mean Dice"
    return xr.Dataset(
        {
            "true": _true(cells),
            **with_interval("smoothness", (), smooth, words, confidence),
            "noise_of_mean": ((), float(of_mean.mean()) ** 0.5, {"units": "1", "long_name": noise}),
        },
        {end: cells[end].values for end in ENDS},
    )


def _true(cells: xr.DataArray) -> tuple:
    words = {"units": "1", "long_name": "mean Dice M(i, j)"}
    return ENDS, _mean(cells).astype("float32"), words


def _mean(cells: xr.DataArray) -> np.ndarray:
    """Return mean Dice, (train, test) float64; NaN in rows without networks."""
    return cells.mean("replica").transpose(*ENDS).values
