"""Predictions of levels that are left out of a whole matrix, by a process with any distances."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xarray as xr

from passband.analysis.profiles import Profiles
from passband.grid import axes_of
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES, Kernel
from passband.prediction.matrix import interaction
from passband.prediction.matrix.matrices import is_trained
from passband.seeds import generator

#: Largest number of rows, drawn at random, that the parameters of the process are found from.
ROWS = 300
ENDS = ("train", "test")
#: Distances of the process: the predictor of Passband, and its rival.
PREDICTOR = "T(q)"
RIVAL = "scaled"
#: The name of all levels of an axis, of all axes but the dose together, and of random groups of
#: conditions, which are left out if no axis has levels.
ALL = "all"
LENS = "lens"
CONDITIONS = "conditions"
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
    cells: xr.DataArray, profiles: Profiles, seed: int, progress: Callable = iter
) -> xr.Dataset:
    """Return predictions of levels that neither the process nor its parameters have seen.

    Args:
        cells: A matrix, see :func:`passband.prediction.matrix.matrices.matrices`.
        profiles: Profiles of all conditions.

    Returns:
        - Each of :data:`passband.prediction.matrix.interaction.SCORES` is ``level_{name}`` over
          (level, distances). ``defocus_nm/train/20`` is a level; ``defocus_nm/train/all`` and
          ``lens/train/all`` are all of one axis, or of all but the dose.
        - `level_r2_ceiling` (level,): the largest R² of Dice that noise of replicas allows.
        - `predicted` (axis, end, train, test): the Dice that is predicted from T(q) if each level
          of an axis is left out in turn, as training conditions or as test conditions.
    """
    trained = np.flatnonzero(is_trained(cells))
    of_train = [str(id) for id in cells.train.values]
    cells = cells.isel(train=trained)
    D = cells.values
    Y = np.nanmean(D, axis=1)
    ends = [profiles.of(cells[end].values) for end in ENDS]
    kernels = {RIVAL: scaled(*ends), PREDICTOR: PROFILES}
    squares: dict[str, list[np.ndarray]] = {}
    ceilings: dict[str, list[np.ndarray]] = {}
    whole: dict[str, np.ndarray] = {}
    for axis, side, level, out in progress([*_slices(cells, seed)]):
        where = [out if k == side else np.full(n, True) for k, n in enumerate(Y.shape)]
        true = Y[np.ix_(*where)]
        own = D[where[0]][..., where[1]]
        a, b = (cells[f"{end}_dose_e_per_A2"][k] for end, k in zip(ENDS, where, strict=True))
        both = {k: left_out(Y, ends, side, out, kernel)[0] for k, kernel in kernels.items()}
        found = [interaction.squares(true, x, (a.values, b.values), own) for x in both.values()]
        is_lens = axis not in ("dose_e_per_A2", CONDITIONS)
        for of in (f"{axis}/*/{level:g}", f"{axis}/*/{ALL}", *[f"{LENS}/*/{ALL}"] * is_lens):
            name = of.replace("*", ENDS[side])
            squares.setdefault(name, []).append(np.stack(found))
            ceilings.setdefault(name, []).append(interaction.ceiling(own, true))
        shape = len(ENDS), len(of_train), Y.shape[1]
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
    return xr.Dataset(
        variables,
        {
            "level": list(squares),
            "distances": list(kernels),
            "axis": list(whole),
            "end": list(ENDS),
            "train": of_train,
            "test": cells.test.values,
        },
    )


def ceiling(of: xr.Dataset, name: str) -> float:
    """Return the score of a level that noise of replicas allows; NaN if nothing is known of it.

    It limits predictions of new networks only. If tests are left out, the other tests of the same
    networks tell which of them were lucky, and a prediction can be better than their true means.

    Args:
        of: One level of what :func:`level_scores` returns.
        name: `level_r2_ceiling` or `level_ceiling`, which earlier versions may lack.
    """
    _, end, _ = str(of.level.values).split("/")
    return float(of[name].min()) if name in of and end == "train" else np.nan


def _words(words: str) -> dict[str, str]:
    return {"units": "1", "long_name": words}


def _slices(cells: xr.DataArray, seed: int) -> Iterator[tuple[str, int, float, np.ndarray]]:
    """Yield axis, side, level and left-out conditions; groups if conditions have no levels."""
    for side, end in enumerate(ENDS):
        found = {axis: cells[f"{end}_{axis}"].values for axis in axes_of(cells)}
        found = {k: v for k, v in found.items() if 3 <= len(np.unique(v)) <= len(v) / 2}
        for axis, of in (found or {CONDITIONS: _groups(cells, seed)[end]}).items():
            yield from ((axis, side, level, of == level) for level in np.unique(of))


def _groups(cells: xr.DataArray, seed: int) -> dict[str, np.ndarray]:
    """Return the random group of each condition; a condition of both sides is in one group."""
    both = sorted({str(id) for end in ENDS for id in cells[end].values})
    groups = generator(seed, "groups").permutation(np.arange(len(both)) % GROUPS)
    of = dict(zip(both, groups, strict=True))
    return {end: np.array([of[str(id)] for id in cells[end].values]) for end in ENDS}
