"""What prediction.zarr says, in rows and sentences, for the terminal and for pages."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from passband.prediction.matrix import level_scores
from passband.prediction.matrix.level_scores import ALL, CONDITIONS, LENS, PREDICTOR, RIVAL
from passband.prediction.matrix.matrices import predicted_matrices
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
        r2, interaction: R² of Dice, and of the interaction of networks and tests at given doses:
            from T(q), from scaled parameters, and the largest that noise of replicas allows. NaN
            where one is not defined.
        rmse_replicas: Root mean square error from T(q), in standard deviations of one replica.
    """

    matrix: str
    axis: str
    end: str
    r2: tuple[float, float, float]
    interaction: tuple[float, float, float]
    rmse_replicas: float


def level_rows(predicted: xr.Dataset) -> list[LevelRow]:
    """Return a row for each matrix, axis and side; none for a store without such scores."""
    rows = []
    for name, matrix in predicted_matrices(predicted).items():
        for level in matrix.level.values if "level" in matrix.dims else ():
            axis, end, which = str(level).split("/")
            of = matrix.sel(level=level)
            if which == ALL and axis != LENS and of.level_r2.notnull().any():
                rows.append(
                    LevelRow(
                        name,
                        axis,
                        end,
                        _three(of, "level_r2", "level_r2_ceiling"),
                        _three(of, "level_interaction", "level_ceiling"),
                        float(of.level_rmse_replicas.sel(distances=PREDICTOR)),
                    )
                )
    return rows


def _three(of: xr.Dataset, score: str, ceiling: str) -> tuple[float, float, float]:
    """Return a score of both distances and its ceiling."""
    both = (float(of[score].sel(distances=name)) for name in (PREDICTOR, RIVAL))
    return *both, level_scores.ceiling(of, ceiling)


def sentences(predicted: xr.Dataset) -> Iterator[str]:
    """Yield sentences on each matrix: networks that are lacking, the interaction, smoothness."""
    matrices = predicted_matrices(predicted)
    for name, matrix in matrices.items():
        for said in (*_untrained(matrix), *_interactions(matrix), *_smoothness(matrix)):
            yield f"{name}: {said}" if len(matrices) > 1 else said


def _untrained(matrix: xr.Dataset) -> Iterator[str]:
    if "expected" not in matrix or not (lacking := matrix.expected.notnull().any("test")).any():
        return
    rows = matrix.expected.values[lacking.values]
    number = len(rows)
    every = matrix.sizes["train"]
    yield (
        f"{number:,} of {every:,} training conditions have no network yet. From the "
        f"networks of the other {every - number:,}, their Dice under {matrix.sizes['test']:,} test "
        f"conditions, {rows.size:,} cells of the matrix, is predicted: {rows.min():.2f} to "
        f"{rows.max():.2f}, mean {rows.mean():.2f}."
    )


def _interactions(matrix: xr.Dataset) -> Iterator[str]:
    """Yield R² of the interaction, where it is defined, for each side."""
    for level in matrix.level.values if "level" in matrix.dims else ():
        (axis, end, which) = str(level).split("/")
        of = matrix.sel(level=level)
        best, scaled, ceiling = _three(of, "level_interaction", "level_ceiling")
        if which == ALL and axis in (LENS, CONDITIONS) and np.isfinite(best + scaled):
            noise = f"; noise of replicas allows {ceiling:.3f}" if np.isfinite(ceiling) else ""
            yield (
                f"If {_LEFT_OUT[axis]} are left out of {ENDS[end]}, R² of the interaction of "
                f"networks and tests at given doses is {best:.3f} from T(q) and {scaled:.3f} from "
                f"scaled parameters{noise}."
            )


def _smoothness(matrix: xr.Dataset) -> Iterator[str]:
    if "smoothness" in matrix and matrix.smoothness.notnull():
        yield (
            f"Neighbouring conditions of the grid have {interval(matrix, 'smoothness')} of "
            "the variance of Dice in common; 1 is smooth, 0 is not."
        )
