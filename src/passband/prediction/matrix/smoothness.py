"""How smooth a Dice matrix is: how alike neighbours on the grid are."""

from itertools import pairwise

import numpy as np

from passband.analysis.bootstrap import resample
from passband.matrices.matrix import Matrix
from passband.prediction.matrix.known_dice import mean_dice

ENDS = ("train", "test")


def neighbours(matrix: Matrix, end: str, axis: str) -> list[list[int]]:
    """Return the lines of conditions along an axis, on one side of a matrix.

    All conditions of a line have the same values of the other axes.

    Args:
        end: `train` or `test`.
        axis: One of :data:`passband.axes.AXES`.

    Returns:
        For each line, the indices of its conditions in the order of the axis. A line has at least
        two conditions.
    """
    lines: dict[tuple, list[tuple[float, int]]] = {}
    coordinates = matrix.coordinates
    values = {name: coordinates[f"{end}_{name}"].values for name in matrix.axes.names}
    for k in range(len(values[axis])):
        others = tuple(values[name][k] for name in values if name != axis)
        lines.setdefault(others, []).append((values[axis][k], k))
    return [[k for _, k in sorted(line)] for line in lines.values() if len(line) > 1]


def smoothness(matrix: Matrix, draws: int, seed: int) -> np.ndarray:
    """Return the share of the variance of mean Dice that neighbours on the grid have in common.

    It is 1 − ½⟨(ΔM)²⟩/Var M over all steps ΔM between neighbouring training conditions and
    neighbouring test conditions: 1 minus Geary's contiguity ratio (Geary 1954). It is 1 if
    neighbours are equal, and about 0 if they are no more alike than any two cells. Noise of
    replicas makes it smaller.

    Args:
        matrix: A matrix without mixtures. Rows without networks are left out.
        draws: Number of bootstrap samples. Training conditions and test conditions are drawn
            independently, and a step counts as often as both of its conditions (pigeonhole
            bootstrap, Owen 2007).

    Returns:
        (1 + draws,): the value, and that of each bootstrap sample; NaN without neighbours, or if
        all Dice are equal.
    """
    values = mean_dice(matrix)
    weights = [
        np.vstack([np.ones(n), resample(n, draws, seed, "smoothness", end)])
        for n, end in zip(values.shape, ENDS, strict=True)
    ]
    squares, numbers = np.zeros((2, 1 + draws))
    for end, D, here, other in zip(ENDS, (values, values.T), weights, weights[::-1], strict=True):
        lines = [line for axis in matrix.axes.names for line in neighbours(matrix, end, axis)]
        pairs = [pair for line in lines for pair in pairwise(line)]
        first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
        step = D[second] - D[first]
        there = np.isfinite(step)
        step = np.where(there, step, 0)
        both = here[:, first] * here[:, second]
        squares += (both * (other @ (step**2).T)).sum(1)
        numbers += (both * (other @ there.T)).sum(1)
    there = np.isfinite(values)
    centred = np.where(there, values - np.nanmean(values), 0)
    total, mean, mean_square = (
        np.einsum("dt,tu,du->d", weights[0], each, weights[1], optimize=True)
        for each in (there.astype(float), centred, centred**2)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = mean_square / total - (mean / total) ** 2
        ratio = squares / numbers / (2 * variance)
    return np.where((numbers > 0) & (variance > 1e-20), 1 - ratio, np.nan)
