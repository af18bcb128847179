"""What `prediction.zarr` says of a matrix.

The levels of an axis are left out on one side of the matrix, each in turn, and are predicted from
T(q) and from scaled parameters.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from passband.matrices.stored import MatrixName, by_matrix

#: Distances of the process: the predictor of Passband, and its rival.
PREDICTOR = "T(q)"
RIVAL = "scaled"
#: The name of all levels of an axis, of all axes but the dose together, and of random groups of
#: conditions, which are left out if no axis has levels.
ALL = "all"
LENS = "lens"
CONDITIONS = "conditions"
#: The score that noise of replicas allows, for each score that is shown beside it.
_CEILINGS = {"r2": "level_r2_ceiling", "interaction": "level_ceiling"}


class LeftOutLevel(NamedTuple):
    """What is left out.

    Attributes:
        axis: The name of an axis, or :data:`LENS` or :data:`CONDITIONS`.
        end: ``train`` or ``test``.
        level: The level, such as ``20``, or :data:`ALL`.
    """

    axis: str
    end: str
    level: str

    def __str__(self) -> str:
        return "/".join(self)


class LevelScore(NamedTuple):
    """A score from T(q), from scaled parameters, and the largest that noise of replicas allows.

    Each is NaN where it is not defined. Noise limits predictions of new networks only. If tests are
    left out, the other tests of the same networks tell which of them were lucky, and a prediction
    can be better than their true means.
    """

    predictor: float
    rival: float
    ceiling: float


class PredictedMatrix:
    """The predictions of a matrix.

    Attributes:
        name: Specimen, architecture and test specimen.
        results: All variables, see docs/data.md. Those of a study that is not finished lack some of
            them.
    """

    def __init__(self, name: MatrixName, results: xr.Dataset):
        self.name = name
        self.results = results

    @property
    def left_out(self) -> list[LeftOutLevel]:
        """What was left out, in the order of the store; none for a store without such scores."""
        levels = self.results.level.values if "level" in self.results.dims else ()
        return [LeftOutLevel(*str(level).split("/")) for level in levels]

    def score(self, name: str, left_out: LeftOutLevel) -> LevelScore:
        """Return R² with something left out.

        Args:
            name: ``r2`` for that of Dice, or ``interaction``.
        """
        of = self.results.sel(level=str(left_out))
        both = (float(of[f"level_{name}"].sel(distances=each)) for each in (PREDICTOR, RIVAL))
        limited = left_out.end == "train"
        return LevelScore(*both, float(of[_CEILINGS[name]].min()) if limited else np.nan)

    def has(self, name: str) -> bool:
        """Return whether a variable is there, with a value."""
        return name in self.results and bool(self.results[name].notnull().any())


def predicted_matrices(store: xr.Dataset) -> list[PredictedMatrix]:
    """Return the predictions of each matrix that was large enough.

    Args:
        store: See :func:`passband.prediction.matrix.assessment.assess`.
    """
    every = (PredictedMatrix(name, results) for name, results in by_matrix(store).items())
    return [matrix for matrix in every if matrix.has("true")]
