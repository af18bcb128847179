"""Predictions of levels that are left out of a whole matrix, by a process with any distances."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

from passband.analysis.groups import group_names
from passband.analysis.packed_table import mean_dice
from passband.grid import axes_of
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES, Kernel
from passband.prediction.matrix import interaction
from passband.prediction.matrix.cross_validation import ALL, CONDITIONS, labels
from passband.prediction.matrix.matrices import MIN_CONDITIONS, matrices
from passband.seeds import generator

#: Largest number of rows, drawn at random, that the parameters of the process are found from.
ROWS = 300
ENDS = ("train", "test")
#: The name of all axes but the dose together.
LENS = "lens"


def left_out(
    Y: np.ndarray,
    ends: Sequence[xr.Dataset],
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
    seen, kept = np.compress(~out, Y, side), list(ends)
    kept[side] = ends[side].isel(condition=~out)
    if theta is None:
        rows = np.sort(generator(0, "rows").permutation(len(seen))[:ROWS])
        few = seen[rows], kept[0].isel(condition=rows), kept[1]
        theta = gaussian_process.fit(*few, kernel=kernel).theta
    process, new = gaussian_process.fit(seen, *kept, theta, kernel), ends[side].isel(condition=out)
    return (process.predict(None, new) if side else process.predict(new, None))[0], theta


def scaled(*ends: xr.Dataset) -> Kernel:
    """Return the distances of scaled parameters, whose lengths are near 1, see docs/metrics.md.

    Defocus and Cs are phases at the edge of the aperture. The unit of each parameter is its
    standard deviation over the conditions of both ends.
    """
    powers = {"condition_defocus_nm": 2, "condition_cs_um": 4}
    axes = [n for n in map(str, ends[0].coords) if n.startswith("condition_") and "dose" not in n]

    def values(of: xr.Dataset) -> np.ndarray:
        angle = of.condition_aperture_mrad
        return np.array([*(of[name] * angle ** powers.get(name, 0) for name in axes), of.log_dose])

    unit = np.concatenate([values(of) for of in ends], axis=1).std(1).clip(1e-9)[:, None, None]
    return Kernel(
        (*axes, "log_dose"),
        (1.0,) * len(unit),
        lambda a, b: ((values(a)[:, :, None] - values(b)[:, None]) / unit) ** 2,
    )


def level_scores(
    table: xr.Dataset, metrics: xr.Dataset, profiles: Mapping, seed: int, progress: Callable = iter
) -> xr.Dataset:
    """Return scores of levels that neither the process nor its parameters have seen.

    Each of :data:`passband.prediction.matrix.interaction.SCORES` is ``level_{name}`` over
    (specimen, architecture, test_specimen, level, distances). ``defocus_nm/train/20`` is a level;
    ``defocus_nm/train/all`` and ``lens/train/all`` are all of one axis, or of all but the dose.
    """
    every, parts = mean_dice(table), []
    for cells in matrices(metrics, seed, drawn=False):
        names = group_names(cells)
        D = every.sel(names | {end: cells[end].values for end in ENDS}).values.astype(float)
        D[~np.isfinite(D).all(2)] = np.nan
        rows = np.isfinite(D).any((1, 2))
        if rows.sum() < MIN_CONDITIONS:
            continue
        D, cells = D[rows], cells.isel(train=rows)
        profile, Y = profiles[names["specimen"]], np.nanmean(D, axis=1)
        ends = [profile.sel(condition=cells[end].values) for end in ENDS]
        kernels = {"scaled": scaled(*ends), "T(q)": PROFILES}
        squares: dict[str, list[np.ndarray]] = {}
        for axis, side, level, out in progress([*_slices(cells, seed)]):
            where = [out if k == side else np.full(n, True) for k, n in enumerate(Y.shape)]
            true, own = Y[np.ix_(*where)], D[where[0]][..., where[1]]
            a, b = (cells[f"{end}_dose_e_per_A2"][k] for end, k in zip(ENDS, where, strict=True))
            both = (left_out(Y, ends, side, out, kernel)[0] for kernel in kernels.values())
            found = [interaction.squares(true, each, (a.values, b.values), own) for each in both]
            is_lens = axis not in ("dose_e_per_A2", CONDITIONS)
            for of in (f"{axis}/*/{level:g}", f"{axis}/*/{ALL}", *[f"{LENS}/*/{ALL}"] * is_lens):
                squares.setdefault(of.replace("*", ENDS[side]), []).append(np.stack(found))
        scores = np.stack([interaction.pooled(np.stack(each)) for each in squares.values()])
        variables = {
            f"level_{name}": (("level", "distances"), scores[..., k], {"long_name": words})
            for k, (name, words) in enumerate(interaction.SCORES.items())
        }
        part = xr.Dataset(variables, {"level": list(squares), "distances": list(kernels)})
        parts.append(part.expand_dims({d: [name] for d, name in names.items()}))
    return xr.merge(parts, join="outer", compat="no_conflicts")


def _slices(cells: xr.Dataset, seed: int) -> Iterator[tuple[str, int, float, np.ndarray]]:
    """Yield axis, side, level and left-out conditions; groups if conditions have no levels."""
    for side in range(len(ENDS)):
        found = {axis: labels(cells, axis, seed)[side] for axis in axes_of(cells)}
        found = {k: v for k, v in found.items() if 3 <= len(np.unique(v)) <= len(v) / 2}
        for axis, of in (found or {CONDITIONS: labels(cells, CONDITIONS, seed)[side]}).items():
            yield from ((axis, side, level, of == level) for level in np.unique(of))
