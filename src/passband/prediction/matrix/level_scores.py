"""Predictions of levels that are left out of a whole matrix, by a process with any distances."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from passband.prediction import gaussian_process
from passband.prediction.covariance import Kernel
from passband.seeds import generator

#: Largest number of rows, drawn at random, that the parameters of the process are found from.
ROWS = 300
ENDS = ("train", "test")


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
