"""OOD metrics as tables for other programs, such as the output of ``passband table --csv``."""

import pandas as pd
import xarray as xr

from passband.analysis.ood import SUMMARIES
from passband.grid import axes_of

#: Values of a cell of the matrix, and their units: all are differences or means of Dice.
_CELL = ("dice", "dice_std", "gap_test", "gap_model", "distance")
_KEYS = ["specimen", "architecture", "test_specimen"]


def by_training_condition(metrics: xr.Dataset) -> pd.DataFrame:
    """Return a table with a row for each training condition of a study.

    Args:
        metrics: OOD metrics, see :func:`passband.analysis.ood.metrics`.

    Returns:
        Columns: `specimen`, `architecture`, `test_specimen`; `train`, the id of the training
        condition; its values of all axes, such as `train_defocus_nm`, with the unit in the name;
        and the summaries of :data:`passband.analysis.ood.SUMMARIES`, which are Dice, with the
        limits of their intervals, such as `ood_low` and `ood_high`.
    """
    names = [name for name in SUMMARIES if name in metrics]
    return _table(metrics, names, ["train"])


def by_cell(metrics: xr.Dataset) -> pd.DataFrame:
    """Return a table with a row for each cell of the matrix: a training and a test condition.

    Args:
        metrics: OOD metrics, see :func:`passband.analysis.ood.metrics`.

    Returns:
        Columns: as in :func:`by_training_condition`, then `test` and its values of all axes, and
        the cell's mean Dice, its standard deviation over replicas, gaps [Dice] and distance, with
        the limits of their intervals.
    """
    return _table(metrics, [name for name in _CELL if name in metrics], ["train", "test"])


def _table(metrics: xr.Dataset, names: list[str], sides: list[str]) -> pd.DataFrame:
    chosen = metrics[names]
    for name in names:
        if f"{name}_interval" in metrics:
            for bound in ("low", "high"):
                values = metrics[f"{name}_interval"].sel(bound=bound, drop=True)
                chosen[f"{name}_{bound}"] = values
    dims = [*(key for key in _KEYS if key in chosen.dims), *sides]
    places = [c for side in sides for c in (side, *(f"{side}_{axis}" for axis in axes_of(metrics)))]
    columns = [c for n in names for c in (n, f"{n}_low", f"{n}_high") if c in chosen]
    frame = chosen.to_dataframe(dim_order=dims).reset_index()
    return frame[[*(d for d in dims if d not in sides), *places, *columns]].round(9)
