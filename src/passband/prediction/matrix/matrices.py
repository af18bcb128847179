"""Choice of the Dice matrices that are large enough for predictions, and of their cells."""

import numpy as np
import xarray as xr

from passband import PassbandError
from passband.analysis.groups import group_label, groups
from passband.config import FEWEST_PREDICTED as MIN_CONDITIONS
from passband.seeds import generator

#: Largest number of conditions that are used along one side of a Dice matrix. A matrix of 144 × 144
#: conditions has 20,736 cells. If there are more conditions, this number of conditions is drawn at
#: random.
MAX_CONDITIONS = 144


class TooFewError(PassbandError):
    """All Dice matrices of a study are too small to evaluate predictions."""


def matrices(metrics: xr.Dataset, seed: int, drawn: bool = True) -> list[xr.Dataset]:
    """Return the Dice matrix of each specimen, architecture and test specimen, (train, test).

    Training conditions without networks are left out. If a side of a matrix has more than
    :data:`MAX_CONDITIONS` conditions, this number of conditions is drawn at random, unless `drawn`
    is false. If a side has fewer than :data:`MIN_CONDITIONS` conditions, the matrix is left out.

    Args:
        metrics: OOD metrics, see :func:`passband.analysis.ood.metrics`.

    Raises:
        TooFewError: If no Dice matrix is left.
    """
    large_enough, most = [], 0
    for _, cells in groups(metrics):
        trained = np.isfinite(cells.dice.transpose("train", "test").values).any(1)
        places = {"train": np.flatnonzero(trained), "test": np.arange(cells.sizes["test"])}
        for side, place in places.items():
            if drawn and len(place) > MAX_CONDITIONS:
                # The random number of a condition depends only on its name, so that a condition
                # that is on both sides of the matrix is chosen on both sides or on neither side.
                lot = [generator(seed, "chosen", id).random() for id in cells[side].values[place]]
                places[side] = np.sort(place[np.argsort(lot)[:MAX_CONDITIONS]])
        fewest = min(map(len, places.values()))
        most = max(most, fewest)
        if fewest >= MIN_CONDITIONS:
            large_enough.append(cells.isel(places))
    if not large_enough:
        raise TooFewError(
            f"the largest matrix has only {most} training or test conditions: predictions need at "
            f"least {MIN_CONDITIONS} of each"
        )
    return large_enough


def targets(cells: xr.Dataset) -> np.ndarray:
    """Return M(i, j) of a matrix, (train, test) float64; NaN for i = j, which is not predicted."""
    Y = cells.dice.transpose("train", "test").values.astype(float)
    return np.where(cells.train.values[:, None] == cells.test.values, np.nan, Y)


def predicted_matrices(predicted: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the predictions of each Dice matrix that was large enough, by the matrix's name.

    Args:
        predicted: Predictions, see :func:`passband.prediction.matrix.prediction.predict`.
    """
    return {
        group_label(matrix): matrix for _, matrix in groups(predicted) if matrix.r2.notnull().any()
    }
