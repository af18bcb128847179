"""Predictions of levels that are left out of a whole matrix, by a process with any distances."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xarray as xr

from passband.analysis.profiles import Profiles
from passband.matrices.matrix import Matrix
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES, Kernel
from passband.prediction.matrix import interaction
from passband.prediction.matrix.known_dice import has_networks, of_replicas
from passband.prediction.matrix.predicted_matrix import (
    ALL,
    CONDITIONS,
    LENS,
    PREDICTOR,
    RIVAL,
    LeftOutLevel,
)
from passband.seeds import generator

#: Largest number of rows, drawn at random, that the parameters of the process are found from.
ROWS = 300
ENDS = ("train", "test")
#: Number of random groups of conditions.
GROUPS = 5


def fit(
    Y: np.ndarray,
    ends: Sequence[Profiles],
    kernel: Kernel = PROFILES,
    theta: np.ndarray | None = None,
) -> gaussian_process.GaussianProcess:
    """Return the process that knows a matrix, whose parameters are from a part of many rows.

    Args:
        Y: (train, test), Dice without NaN.
        ends: Profiles of training conditions and of test conditions.
        theta: The parameters, if they are known.
    """
    if theta is None:
        rows = np.sort(generator(0, "rows").permutation(len(Y))[:ROWS])
        few = Y[rows], ends[0][rows], ends[1]
        theta = gaussian_process.fit(*few, kernel=kernel).theta
    return gaussian_process.fit(Y, *ends, theta, kernel)


def left_out(
    Y: np.ndarray,
    ends: Sequence[Profiles],
    side: int,
    out: np.ndarray,
    kernel: Kernel,
    theta: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict Dice of conditions of one side from all others, also the process's parameters.

    Args:
        Y: (train, test), Dice without NaN.
        ends: Profiles of training conditions and of test conditions.
        side: 0 for training conditions, whose networks have the same test images as the others; 1
            for test conditions, whose images nobody has seen.
        out: Whether each condition of the side is left out, bool.

    Returns:
        The Dice, and the parameters `theta`, which are found unless they are given.
    """
    kept = list(ends)
    kept[side] = ends[side][~out]
    process = fit(np.compress(~out, Y, side), kept, kernel, theta)
    new = ends[side][out]
    found, _ = process.predict(None, new) if side else process.predict(new, None)
    return found, process.theta


def scaled(*ends: Profiles) -> Kernel:
    """Return the distances of scaled parameters, whose lengths are near 1, see docs/metrics.md.

    Defocus and Cs are phases at the edge of the aperture. The unit of each parameter is its
    standard deviation over the conditions of both ends.
    """
    powers = {"defocus_nm": 2, "cs_um": 4}
    axes = [name for name in ends[0].parameters if name != "dose_e_per_A2"]

    def values(of: Profiles) -> np.ndarray:
        known = of.parameters
        angle = known["aperture_mrad"]
        lens = [known[name] * angle ** powers.get(name, 0) for name in axes]
        return np.array([*lens, of.log_dose])

    unit = np.concatenate([values(of) for of in ends], axis=1).std(1).clip(1e-9)[:, None, None]
    return Kernel(
        (*axes, "log_dose"),
        (1.0,) * len(unit),
        lambda a, b: ((values(a)[:, :, None] - values(b)[:, None]) / unit) ** 2,
    )


def level_scores(
    matrix: Matrix, profiles: Profiles, seed: int, progress: Callable = iter
) -> xr.Dataset:
    """Return predictions of levels that neither the process nor its parameters have seen.

    Args:
        matrix: A matrix that is large enough, without mixtures, see
            :func:`passband.prediction.matrix.known_dice.large_enough`.
        profiles: Profiles of all conditions.

    Returns:
        - Each of :data:`passband.prediction.matrix.interaction.SCORES` is ``level_{name}`` over
          (level, distances). ``defocus_nm/train/20`` is a level; ``defocus_nm/train/all`` and
          ``lens/train/all`` are all of one axis, or of all but the dose.
        - `level_r2_ceiling` (level,): the largest R² of Dice that noise of replicas allows.
        - `predicted` (axis, end, train, test): the Dice that is predicted from T(q) if each level
          of an axis is left out in turn, as training conditions or as test conditions.
    """
    trained = np.flatnonzero(has_networks(matrix))
    known = matrix.take(trained)
    D = of_replicas(matrix)[trained]
    Y = np.nanmean(D, axis=1)
    ends = [profiles.of(ids) for ids in (known.rows, known.columns)]
    kernels = {RIVAL: scaled(*ends), PREDICTOR: PROFILES}
    doses = [known.coordinates[f"{end}_dose_e_per_A2"].values for end in ENDS]
    squares: dict[str, list[np.ndarray]] = {}
    ceilings: dict[str, list[np.ndarray]] = {}
    whole: dict[str, np.ndarray] = {}
    for axis, side, level, out in progress([*_slices(known, seed)]):
        where = [out if k == side else np.full(n, True) for k, n in enumerate(Y.shape)]
        true = Y[np.ix_(*where)]
        own = D[where[0]][..., where[1]]
        dose = tuple(of[k] for of, k in zip(doses, where, strict=True))
        both = {k: left_out(Y, ends, side, out, kernel)[0] for k, kernel in kernels.items()}
        found = [interaction.squares(true, x, dose, own) for x in both.values()]
        is_lens = axis not in ("dose_e_per_A2", CONDITIONS)
        for of, which in ((axis, f"{level:g}"), (axis, ALL), *[(LENS, ALL)] * is_lens):
            name = str(LeftOutLevel(of, ENDS[side], which))
            squares.setdefault(name, []).append(np.stack(found))
            ceilings.setdefault(name, []).append(interaction.ceiling(own, true))
        shape = len(ENDS), len(matrix.rows), len(matrix.columns)
        place = whole.setdefault(axis, np.full(shape, np.nan, "float32"))[side]
        place[np.ix_(trained[where[0]], where[1])] = both[PREDICTOR]
    scores = np.stack([interaction.pooled(np.stack(each)) for each in squares.values()])
    variables = {
        f"level_{name}": (("level", "distances"), scores[..., k], _words(words))
        for k, (name, words) in enumerate(interaction.SCORES.items())
    }
    left, total = np.stack([np.sum(each, axis=0) for each in ceilings.values()]).T
    words = _words("R² of Dice, if the true means over all replicas were predicted")
    variables["level_r2_ceiling"] = ("level", 1 - left / np.where(total > 0, total, np.nan), words)
    words = _words(f"Dice predicted from {PREDICTOR}, with levels of an axis left out")
    variables["predicted"] = (("axis", "end", *ENDS), np.stack([*whole.values()]), words)
    names = {"level": squares, "distances": kernels, "axis": whole, "end": ENDS}
    return xr.Dataset(variables, {dimension: list(each) for dimension, each in names.items()})


def _words(words: str) -> dict[str, str]:
    return {"units": "1", "long_name": words}


def _slices(matrix: Matrix, seed: int) -> Iterator[tuple[str, int, float, np.ndarray]]:
    """Yield axis, side, level and left-out conditions; groups if conditions have no levels."""
    coordinates = matrix.coordinates
    for side, end in enumerate(ENDS):
        found = {axis: coordinates[f"{end}_{axis}"].values for axis in matrix.axes.names}
        found = {k: v for k, v in found.items() if 3 <= len(np.unique(v)) <= len(v) / 2}
        for axis, of in (found or {CONDITIONS: _groups(matrix, seed)[side]}).items():
            yield from ((axis, side, level, of == level) for level in np.unique(of))


def _groups(matrix: Matrix, seed: int) -> tuple[np.ndarray, ...]:
    """Return the random group of each condition; a condition of both sides is in one group."""
    both = sorted({*matrix.rows, *matrix.columns})
    groups = generator(seed, "groups").permutation(np.arange(len(both)) % GROUPS)
    of = dict(zip(both, groups, strict=True))
    return tuple(np.array([of[id] for id in ids]) for ids in (matrix.rows, matrix.columns))
