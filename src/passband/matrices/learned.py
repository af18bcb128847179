"""Which networks did not learn: at home, they are no better than a mask of all pixels.

A network's home is its own training condition and specimen. A network did not learn if the interval
of its Dice there over images, see :mod:`passband.matrices.crossed_intervals`, reaches down to the
Dice of a mask of all pixels, which needs no network.
"""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from passband.config import Study
from passband.matrices.crossed_intervals import half_width, of_mean
from passband.matrices.matrix import Matrix
from passband.matrices.stored import NETWORK
from passband.matrices.table_images import Images


def unlearned(matrices: Iterable[Matrix], every: Images, study: Study) -> xr.DataArray:
    """Return which networks did not learn, bool (specimen, architecture, train, replica).

    The attribute `learned` is the number of the other networks with results.

    A network that is missing, or that was not tested at home, is not said to have failed. The home
    of a network of a mixture is the test under the mixture, or else the expectation over it.

    Args:
        matrices: The matrices of a study.
        every: The images of all of them, which are read only of those networks whose mean Dice
            leaves a doubt.
        study: The configuration, for the number of pixels of an image and the intervals.
    """
    table = every.table
    found = xr.DataArray(
        np.zeros([table.sizes[dimension] for dimension in NETWORK], dtype=bool),
        {n: c.variable for n, c in table.coords.items() if {*c.dims} <= {*NETWORK}},
        NETWORK,
    )
    evaluation = study.evaluation
    pixels = study.microscope.field_px**2
    several = evaluation.bootstrap > 0 and table.sizes["structure"] > 1
    confidence = evaluation.confidence if several else None
    for matrix in matrices:
        if matrix.name.is_home:
            place = {"specimen": matrix.specimen, "architecture": matrix.architecture}
            found.loc[place] = _of_matrix(matrix, every, pixels, confidence)
    learned = int(np.isfinite(table.dice).any(["test_specimen", "test"]).sum() - found.sum())
    return found.assign_attrs(learned=learned)


def _of_matrix(matrix: Matrix, every: Images, pixels: int, confidence: float | None) -> np.ndarray:
    """Return which networks of a matrix did not learn, (row, replica) bool.

    Args:
        every: The images of all matrices.
        pixels: Number of pixels of an image.
        confidence: Coverage of the intervals over images; None without intervals.
    """
    means = matrix.by_network.values.astype(float)
    trained = np.isfinite(means[..., 0])
    found = np.zeros(trained.shape, dtype=bool)
    if not trained.any():
        return found
    least = _of_all_pixels(matrix, every, pixels)
    reach = 0.0 if confidence is None else _reach(every.table.sizes["structure"], confidence)
    for row, of_all in enumerate(least):
        home = matrix.home_mean(row)
        if home is None:
            continue
        mean = np.where(trained[row], home, 1.0)
        low = mean - reach * np.sqrt(np.clip(mean * (1 - mean), 0, None))
        if not (low <= of_all + 1e-3).any():
            continue
        D = matrix.home(row)
        low = D.mean(1)
        if confidence is not None:
            low = low - half_width(confidence, of_mean(D))
        found[row] = trained[row] & (low <= of_all + every.rounding)
    return found


def _reach(structures: int, confidence: float) -> float:
    """Return the largest half-width of the interval of a mean D, divided by √(D(1 − D)).

    The standard deviation of numbers between 0 and 1 is at most that of zeros and ones.
    """
    bits = np.arange(structures) % 2
    return half_width(confidence, of_mean(bits)) / bits.std()


def _of_all_pixels(matrix: Matrix, every: Images, pixels: int) -> np.ndarray:
    """Return the mean Dice, at home, of a mask of all pixels, (row,); NaN without a home."""
    test_specimen = every.table.test_specimen.values.tolist().index(matrix.test_specimen)

    def dice(true: np.ndarray) -> np.ndarray:
        # A table with larger particles than images is not from this configuration.
        return np.where(true <= pixels, 2 * true / (true + pixels), np.nan).mean(-1)

    of_tests = dice(every.particle_pixels(test_specimen))
    if matrix.has_own_tests:
        found = dice(every.particle_pixels(test_specimen, own=True))
    else:
        weights = (matrix.expectations.get(row) for row in range(len(matrix.rows)))
        found = np.array([np.nan if w is None else of_tests @ w for w in weights])
    for row, column in enumerate(matrix.own):
        if column is not None:
            found[row] = of_tests[column]
    return found
