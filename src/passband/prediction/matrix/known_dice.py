"""Choice of the Dice matrices that are large enough for predictions."""

import numpy as np
import xarray as xr

from passband import PassbandError
from passband.config import FEWEST_PREDICTED as MIN_CONDITIONS
from passband.matrices.leaving import group_label, groups, mean_dice


class TooFewError(PassbandError):
    """All Dice matrices of a study are too small to evaluate predictions."""


def matrices(table: xr.Dataset) -> list[xr.DataArray]:
    """Return the mean Dice of each specimen, architecture and test specimen.

    A matrix with fewer than :data:`MIN_CONDITIONS` test conditions, or training conditions with
    networks, is left out.

    Args:
        table: The table of results, see :func:`passband.analysis.table.aggregate`, without
            mixtures.

    Returns:
        Each (train, replica, test) float64. A replica that was not tested under all conditions has
        NaN, so that the rows of conditions without networks are NaN.

    Raises:
        TooFewError: If no matrix is left.
    """
    large_enough, most = [], 0
    for _, cells in groups(mean_dice(table)):
        cells = cells.transpose("train", "replica", "test").load().astype(float)
        cells = cells.where(cells.notnull().all("test"))
        fewest = min(int(is_trained(cells).sum()), cells.sizes["test"])
        most = max(most, fewest)
        if fewest >= MIN_CONDITIONS:
            large_enough.append(cells)
    if not large_enough:
        raise TooFewError(
            f"the largest matrix has only {most} training or test conditions: predictions need at "
            f"least {MIN_CONDITIONS} of each"
        )
    return large_enough


def is_trained(cells: xr.DataArray) -> np.ndarray:
    """Return whether each training condition has a network, (train,) bool."""
    return cells.notnull().any(["replica", "test"]).values


def predicted_matrices(predicted: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the predictions of each Dice matrix that was large enough, by the matrix's name.

    Args:
        predicted: See :func:`passband.prediction.matrix.prediction.assess`, or a store of an
            earlier version.
    """
    return {
        group_label(matrix): matrix
        for _, matrix in groups(predicted)
        if matrix.true.notnull().any()
    }
