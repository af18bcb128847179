"""OOD metrics as tables for other programs, such as the output of ``passband table --csv``."""

from collections.abc import Iterable, Sequence

import pandas as pd

from passband.analysis.ood import of_pairs, of_rows
from passband.matrices.matrix import Matrix

#: Values of a cell of the matrix, and their units: all are differences or means of Dice.
_CELL = ("dice", "dice_std", "gap_test", "gap_model", "distance")


def by_training_condition(matrices: Sequence[Matrix]) -> pd.DataFrame:
    """Return a table with a row for each training condition of each matrix.

    Args:
        matrices: Matrices with OOD metrics.

    Returns:
        Columns: `specimen`, `architecture`, `test_specimen`; `train`, the id of the training
        condition; its values of all axes, such as `train_defocus_nm`, with the unit in the name;
        and the OOD metrics of a training condition with the limits of their intervals, such as
        `ood_low` and `ood_high`.
    """
    return _table(matrices, of_rows(matrices[0].metrics), ["train"])


def by_cell(matrices: Sequence[Matrix]) -> pd.DataFrame:
    """Return a table with a row for each cell of the matrices: a training and a test condition.

    Args:
        matrices: Matrices with OOD metrics.

    Returns:
        Columns: as in :func:`by_training_condition`, then `test` and its values of all axes, and
        the cell's mean Dice, its standard deviation over replicas, gaps [Dice], distance and OOD
        metrics of the study's own, with the limits of their intervals.
    """
    own = [name for name in of_pairs(matrices[0].metrics) if name not in _CELL]
    return _table(matrices, [*_CELL, *own], ["train", "test"])


def _table(matrices: Sequence[Matrix], names: Iterable[str], sides: list[str]) -> pd.DataFrame:
    frames = []
    for matrix in matrices:
        metrics = matrix.metrics
        known = [name for name in names if name in metrics]
        chosen = metrics[known]
        for name in known:
            if f"{name}_interval" in metrics:
                for bound in ("low", "high"):
                    values = metrics[f"{name}_interval"].sel(bound=bound, drop=True)
                    chosen[f"{name}_{bound}"] = values
        axes = matrix.axes.names
        places = [c for side in sides for c in (side, *(f"{side}_{axis}" for axis in axes))]
        columns = [c for n in known for c in (n, f"{n}_low", f"{n}_high") if c in chosen]
        frame = chosen.to_dataframe(dim_order=sides).reset_index()
        frame = frame.assign(**matrix.name._asdict())
        frames.append(frame[[*matrix.name._fields, *places, *columns]].round(9))
    return pd.concat(frames, ignore_index=True)
