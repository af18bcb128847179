"""What prediction.zarr says, in rows and sentences, for the terminal and for pages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from passband.prediction.matrix.predicted_matrix import (
    ALL,
    CONDITIONS,
    LENS,
    PREDICTOR,
    LevelScore,
    PredictedMatrix,
)
from passband.reports.markdown import interval

#: Words for the sides of a matrix, and for what is left out.
ENDS = {"train": "training", "test": "tests"}
_LEFT_OUT = {LENS: "levels of the lens", CONDITIONS: "groups of conditions"}


@dataclass(frozen=True)
class LevelRow:
    """Scores of the levels of an axis that were left out, on one side of a matrix.

    Attributes:
        axis: The axis, or ``conditions`` for random groups of conditions.
        end: `train` or `test`.
        r2, interaction: R² of Dice, and of the interaction of networks and tests at given doses.
        rmse_replicas: Root mean square error from T(q), in standard deviations of one replica.
    """

    matrix: str
    axis: str
    end: str
    r2: LevelScore
    interaction: LevelScore
    rmse_replicas: float


def level_rows(predicted: Sequence[PredictedMatrix]) -> list[LevelRow]:
    """Return a row for each matrix, axis and side; none for a store without such scores."""
    rows = []
    for matrix in predicted:
        for left_out in matrix.left_out:
            if left_out.level != ALL or left_out.axis == LENS:
                continue
            r2 = matrix.score("r2", left_out)
            if np.isnan([r2.predictor, r2.rival]).all():
                continue
            rmse = matrix.results.level_rmse_replicas
            rows.append(
                LevelRow(
                    matrix=matrix.name.label,
                    axis=left_out.axis,
                    end=left_out.end,
                    r2=r2,
                    interaction=matrix.score("interaction", left_out),
                    rmse_replicas=float(rmse.sel(level=str(left_out), distances=PREDICTOR)),
                )
            )
    return rows


def sentences(predicted: Sequence[PredictedMatrix]) -> Iterator[str]:
    """Yield sentences on each matrix: networks that are lacking, the interaction, smoothness."""
    for matrix in predicted:
        for said in (*_untrained(matrix), *_interactions(matrix), *_smoothness(matrix)):
            yield f"{matrix.name.label}: {said}" if len(predicted) > 1 else said


def _untrained(matrix: PredictedMatrix) -> Iterator[str]:
    if not matrix.has("expected"):
        return
    expected = matrix.results.expected
    rows = expected.values[expected.notnull().any("test").values]
    (every, tests) = expected.shape
    number = len(rows)
    yield (
        f"{number:,} of {every:,} training conditions have no network yet. From the "
        f"networks of the other {every - number:,}, their Dice under {tests:,} test "
        f"conditions, {rows.size:,} cells of the matrix, is predicted: {rows.min():.2f} to "
        f"{rows.max():.2f}, mean {rows.mean():.2f}."
    )


def _interactions(matrix: PredictedMatrix) -> Iterator[str]:
    """Yield R² of the interaction, where it is defined, for each side."""
    for left_out in matrix.left_out:
        if left_out.level != ALL or left_out.axis not in _LEFT_OUT:
            continue
        r2 = matrix.score("interaction", left_out)
        if np.isfinite([r2.predictor, r2.rival]).all():
            known = np.isfinite(r2.ceiling)
            noise = f"; noise of replicas allows {r2.ceiling:.3f}" if known else ""
            yield (
                f"If {_LEFT_OUT[left_out.axis]} are left out of {ENDS[left_out.end]}, R² of the "
                f"interaction of networks and tests at given doses is {r2.predictor:.3f} from T(q) "
                f"and {r2.rival:.3f} from scaled parameters{noise}."
            )


def _smoothness(matrix: PredictedMatrix) -> Iterator[str]:
    if matrix.has("smoothness"):
        yield (
            f"Neighbouring conditions of the grid have {interval(matrix.results, 'smoothness')} of "
            "the variance of Dice in common; 1 is smooth, 0 is not."
        )
