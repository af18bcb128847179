"""The data of a page's figures as CSV, compressed inside the page."""

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from passband.axes import MAIN_AXES
from passband.config import Microscope
from passband.grid import Axes, Condition
from passband.matrices.matrix import Matrix
from passband.optics import ctf
from passband.prediction.matrix.predicted_matrix import PredictedMatrix
from passband.reports.csv_tables import by_cell

#: A table with more values than this is not stored in the page, which would become too large.
MOST_VALUES = 900_000
#: Fewest columns of a table of pairs, and number of pairs that are in memory as a table.
_FEWEST_COLUMNS, _CELLS = 8, 200_000
_SIDES = ["train", "test"]
#: Number of azimuths over which the transfer of a lens that is not round is averaged.
AZIMUTHS = 90


@dataclass(frozen=True)
class Data:
    """A CSV file inside the page.

    Attributes:
        name: The file's name.
        rows: Number of rows without the head; 0 if the table is too large for the page.
        content: The file, compressed by gzip, in base64; "" if the table is too large for the page.
    """

    name: str
    rows: int
    content: str = ""


def compressed(name: str, table: pd.DataFrame) -> Data:
    """Return a table as a CSV file. Numbers have five significant digits."""
    if table.size > MOST_VALUES:
        return Data(name, 0)
    text = table.to_csv(index=False, float_format="%.5g", lineterminator="\n")
    packed = gzip.compress(text.encode(), 6, mtime=0)
    return Data(name, len(table), base64.b64encode(packed).decode("ascii"))


def matrix(matrices: Sequence[Matrix]) -> Data:
    """Return the table of ``passband table --csv --cells``, with a row for each pair."""
    cells = sum(len(each.rows) * len(each.columns) for each in matrices)
    if cells * _FEWEST_COLUMNS > MOST_VALUES:
        return Data("matrix.csv", 0)
    return compressed("matrix.csv", by_cell(matrices))


def decay(matrices: Sequence[Matrix]) -> Data:
    """Return the pairs of conditions that differ in one axis at most, as CSV."""
    # The table of a large matrix would not fit into memory, so only a part of it is made at a time.
    axes = matrices[0].axes.names
    rows = range(len(matrices[0].rows))
    step = max(1, _CELLS // len(matrices[0].columns))
    parts = [
        _single_changes(by_cell([each.take(rows[first : first + step]) for each in matrices]), axes)
        for first in rows[::step]
    ]
    return compressed("decay.csv", pd.concat(parts))


def _single_changes(table: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    differs = {a: (table[f"train_{a}"] != table[f"test_{a}"]).values for a in axes}
    changed = np.full(len(table), "none", object)
    for axis, mask in differs.items():
        changed[mask] = axis
    table.insert(0, "changed_axis", changed)
    return table[np.sum(list(differs.values()), axis=0) <= 1]


def transfer(conditions: Sequence[Condition], microscope: Microscope, samples: int = 256) -> Data:
    """Return the transfer T(q) and its envelope for each lens of the study, as CSV.

    Doses and axes of the specimens are left out, since the transfer does not depend on them. For a
    lens that is not round, `transfer` is the mean over azimuths, two more columns have the lowest
    and the highest transfer, and `envelope` is the highest.
    """
    own = Axes(microscope.axis_values).own
    known = {*MAIN_AXES, *(name for c in conditions for name, _ in c.further if name in own)}
    names = [name for name in (*MAIN_AXES, *own) if name in known - {"dose_e_per_A2"}]
    lenses = {}
    for condition in conditions:
        values = own | condition.values()
        lens = tuple((name, values[name]) for name in names)
        lenses.setdefault(lens, microscope.optics(condition))
    is_round = all(optics.round for optics in lenses.values())
    azimuths = np.linspace(0, 2 * np.pi, 1 if is_round else AZIMUTHS, endpoint=False)[:, None]
    q, parts = np.linspace(0, microscope.sampling.cutoff, samples), []
    for lens, optics in lenses.items():
        T, envelope = ctf.transfer(optics, q, azimuths), ctf.envelope(optics, q, azimuths)
        ends = {} if is_round else {"transfer_lowest": T.min(0), "transfer_highest": T.max(0)}
        curves = {"frequency_per_A": q, "transfer": T.mean(0), **ends, "envelope": envelope.max(0)}
        parts.append({name: np.full(samples, value) for name, value in lens} | curves)
    return compressed("ctf.csv", pd.concat(map(pd.DataFrame, parts)))


def covers(store: xr.Dataset, matrices: Sequence[Matrix]) -> bool:
    """Return whether a store has all conditions of the matrices."""
    return all(
        {*each.rows} <= {*store.train.values.tolist()}
        and {*each.columns} <= {*store.test.values.tolist()}
        for each in matrices
    )


def information(matrices: Sequence[Matrix], store: xr.Dataset) -> Data:
    """Return Dice and all information metrics of each pair of conditions, as CSV.

    Frequency bands are left out. Networks are tested on the specimen of their training, and the
    weight of frequencies is flat, or the spectrum of this specimen.
    """
    names = [str(n) for n, v in store.data_vars.items() if {"train", "test"} <= {*v.dims}]
    axes = [f"{side}_{axis}" for side in _SIDES for axis in matrices[0].axes.names]
    head, parts = ["specimen", "architecture", "weight", *axes, "dice", *names], []
    for each in matrices:
        if not each.name.is_home:
            continue
        of_matrix = store[names].sel(train=list(each.rows), test=list(each.columns))
        for weight in [w for w in store.weight.values if w in ("flat", each.specimen)]:
            weighted = of_matrix.sel(weight=weight).transpose(*_SIDES)
            pairs = each.metrics[["dice"]].assign({n: (_SIDES, weighted[n].values) for n in names})
            frame = pairs.to_dataframe(dim_order=_SIDES)
            of = {"specimen": each.specimen, "architecture": each.architecture, "weight": weight}
            parts.append(frame.assign(**of)[head])
    return compressed("metrics.csv", pd.concat(parts))


def prediction(predicted: Sequence[PredictedMatrix]) -> list[Data]:
    """Return the scores of levels left out, and the predicted Dice of each pair, as CSV files."""
    (first, *_) = predicted
    scores = [str(name) for name in first.results.data_vars if str(name).startswith("level_")]
    found = [_scores_as_rows(predicted, scores)] if scores else []
    return [*found, _predicted_pairs(predicted)]


def _scores_as_rows(predicted: Sequence[PredictedMatrix], scores: Sequence[str]) -> Data:
    """Return scores of each matrix as rows: matrix, variable, coordinates, value."""
    dims = list(dict.fromkeys(d for name in scores for d in predicted[0].results[name].dims))
    parts = []
    for matrix in predicted:
        for name in scores:
            values = matrix.results[name].reset_coords(drop=True)
            table = values.to_dataframe("value").reset_index()
            table = table.astype({dim: str for dim in dims if dim in table})
            parts.append(table.assign(matrix=matrix.name.label, variable=name))
    table = pd.concat(parts)[["matrix", "variable", *dims, "value"]]
    return compressed("prediction.csv", table.fillna(dict.fromkeys(dims, "")))


def _predicted_pairs(predicted: Sequence[PredictedMatrix]) -> Data:
    """Return true Dice, and predicted Dice of each pair, as CSV.

    It is predicted with the levels of an axis left out as training conditions, and expected where
    there are no networks.
    """
    parts = []
    for matrix in predicted:
        pairs = xr.Dataset(_values_of_pairs(matrix.results)).reset_coords(drop=True)
        table = pairs.to_dataframe(dim_order=_SIDES).reset_index()
        table.insert(0, "matrix", matrix.name.label)
        parts.append(table)
    return compressed("predicted.csv", pd.concat(parts))


def _values_of_pairs(results: xr.Dataset) -> dict[str, xr.DataArray]:
    values = {"dice": results.true}
    if "predicted" in results:
        held_out = results.predicted.sel(end="train", drop=True)
        for axis in results.axis.values:
            values[f"predicted_without_{axis}"] = held_out.sel(axis=axis, drop=True)
    if "expected" in results:
        values["expected"] = results.expected
        for bound in ("low", "high"):
            values[f"expected_{bound}"] = results.expected_interval.sel(bound=bound, drop=True)
    return values
