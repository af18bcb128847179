"""All records of a study as one xarray Dataset on disk."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dask.array as da
import numpy as np
import xarray as xr

from passband import PassbandError, store
from passband.grid import AXES, Condition, coordinates
from passband.scores import OUTCOMES, dice

#: Values of the table's variable `status`. What was never written reads as 0, so 0 is missing.
STATUS = {"missing": 0, "done": 1}

_NETWORK = ("specimen", "architecture", "train", "replica")
_NO_COUNT = 2**32 - 1

Data = TypeVar("Data", xr.Dataset, xr.DataArray)


class IncompleteError(PassbandError):
    """Networks are missing from the grid."""


@dataclass(frozen=True)
class Cell:
    """Where the record of one job lies, and which networks are in it."""

    specimen: str
    architecture: str
    train: str
    replicas: tuple[int, ...]
    path: str


def aggregate(
    cells: Sequence[Cell],
    test: Sequence[str],
    test_specimens: Sequence[str],
    path: str | Path,
    attrs: Mapping[str, str],
    allow_incomplete: bool = False,
) -> None:
    """Gather records into the table, a training condition at a time, so that memory stays small.

    The table has `counts` (specimen, architecture, train, replica, test_specimen, test, structure,
    outcome) in pixels, `dice` its mean over structures, and per network `val_loss`, `best_epoch`
    and `status`. A missing network is NaN in all of them and has status 0.

    Parameters
    ----------
    cells : sequence of Cell
        Every job of the grid, whether or not its record exists.
    test : sequence of str
        Test conditions' ids.
    test_specimens : sequence of str
        Specimens tested on.
    path : path
        Where the table goes; whole or absent.
    attrs : mapping
        Provenance.
    allow_incomplete : bool
        Whether a record may be missing.

    Raises
    ------
    IncompleteError
        If a record is missing and that is not allowed; the message names the first.
    StoreError
        If a record is torn or foreign.
    """
    missing = {cell.path for cell in cells if not os.path.exists(cell.path)}
    if missing and (not allow_incomplete or len(missing) == len(cells)):
        raise IncompleteError(
            f"{len(missing)} of {len(cells)} records are missing, the first is {min(missing)}; "
            "run the grid to its end, or set study.allow_incomplete: true"
        )
    first = next(cell for cell in cells if cell.path not in missing)
    sizes = {
        "specimen": list(dict.fromkeys(cell.specimen for cell in cells)),
        "architecture": list(dict.fromkeys(cell.architecture for cell in cells)),
        "train": sorted({cell.train for cell in cells}, key=Condition.parse),
        "replica": sorted({replica for cell in cells for replica in cell.replicas}),
        "test_specimen": list(test_specimens),
        "test": list(test),
        "structure": list(range(store.read(first.path, store.RECORD).sizes["structure"])),
        "outcome": list(OUTCOMES),
    }
    rows: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.specimen, cell.architecture, cell.train), []).append(cell)
    chunks = dict.fromkeys(("specimen", "architecture", "train"), 1)
    with store.replacing(path) as beside:
        template = _template(sizes).assign_attrs(attrs, kind=store.TABLE)
        store.create(template, beside, chunks, _NO_COUNT)
        for names, row in rows.items():
            block = _row([cell for cell in row if cell.path not in missing], sizes)
            place = {
                dimension: sizes[dimension].index(name)
                for dimension, name in zip(_NETWORK, names, strict=False)
            }
            block.expand_dims(list(place)).to_zarr(
                beside, region={d: slice(k, k + 1) for d, k in place.items()}, consolidated=False
            )
        store.consolidate(beside)


def known(path: str | Path, contexts: Mapping[str, str]) -> xr.Dataset | None:
    """Return what of an earlier record still holds, None if nothing does.

    Parameters
    ----------
    path : path
        The record, if there is one.
    contexts : mapping of str to str
        Test specimen to a digest of all that its counts depend on.

    Returns
    -------
    Dataset or None
        The record's test specimens whose context is unchanged.
    """
    try:
        record = store.read(path, store.RECORD)
    except store.StoreError:
        return None
    before = json.loads(record.attrs.get("contexts", "{}"))
    same = [name for name in record.test_specimen.values if before.get(name) == contexts.get(name)]
    return record.sel(test_specimen=same) if same else None


def covers(
    record: xr.Dataset, replicas: Sequence[int], specimens: Sequence[str], test: Sequence[Condition]
) -> bool:
    """Return whether a record is of exactly these networks, test specimens and test conditions."""
    expected = {"replica": replicas, "test_specimen": specimens, "test": [c.id for c in test]}
    return all(list(record[name].values) == list(v) for name, v in expected.items())


def _template(sizes: dict[str, list]) -> xr.Dataset:
    """Return the table with every value missing, without taking memory."""

    def full(dims: tuple[str, ...], value: float, dtype: str, **attrs) -> tuple:
        return dims, da.full([len(sizes[d]) for d in dims], value, dtype=dtype), attrs

    cell = (*_NETWORK, "test_specimen", "test")
    return xr.Dataset(
        {
            "counts": full(
                (*cell, "structure", "outcome"),
                np.nan,
                "float64",
                units="pixels",
                long_name="pixels by outcome: true and false positives, false negatives",
            ),
            "dice": full(
                cell,
                np.nan,
                "float32",
                units="1",
                long_name="Dice, mean over structures",
                empty_masks="Dice of an image without particle pixels is 1 if none was predicted, "
                "otherwise 0",
            ),
            "val_loss": full(_NETWORK, np.nan, "float32", units="1", long_name="validation loss"),
            "best_epoch": full(
                _NETWORK,
                np.nan,
                "float32",
                units="1",
                long_name="chosen epoch, from 0",
                selection="lowest validation loss on the training condition",
            ),
            "status": full(
                _NETWORK,
                STATUS["missing"],
                "int8",
                long_name="whether the network is there",
                flag_values=list(STATUS.values()),
                flag_meanings=" ".join(STATUS),
            ),
        },
        coords={
            **{name: values for name, values in sizes.items() if name != "structure"},
            **coordinates(sizes["train"], "train"),
            **coordinates(sizes["test"], "test"),
        },
    )


def _row(cells: Sequence[Cell], sizes: dict[str, list]) -> xr.Dataset:
    """Return the table's values for one training condition, missing replicas as NaN."""
    shape = {name: len(values) for name, values in sizes.items() if name not in _NETWORK[:3]}
    counts = np.full(list(shape.values()), np.nan)
    network = {name: np.full(shape["replica"], np.nan) for name in ("val_loss", "best_epoch")}
    for cell in cells:
        record = store.read(cell.path, store.RECORD)
        of = {"specimen": cell.specimen, "architecture": cell.architecture, "condition": cell.train}
        store.check_attributes(cell.path, record.attrs, of)
        expected = {**{d: sizes[d] for d in ("test_specimen", "test")}, "replica": cell.replicas}
        for dimension, values in expected.items():
            if list(record[dimension].values) != list(values):
                raise store.DamagedError(cell.path, f"its {dimension} are not those of the study")
        if record.sizes["structure"] != shape["structure"]:
            raise store.DamagedError(
                cell.path,
                f"has {record.sizes['structure']} structures, other records have "
                f"{shape['structure']}",
            )
        where = [sizes["replica"].index(replica) for replica in cell.replicas]
        counts[where] = record.counts.values
        for name, values in network.items():
            values[where] = record[name].values
    status = np.where(np.isnan(counts[:, 0, 0, 0, 0]), STATUS["missing"], STATUS["done"])
    return xr.Dataset(
        {
            "counts": (tuple(shape), counts),
            "dice": (tuple(shape)[:3], dice(counts).mean(-1).astype("float32")),
            "status": ("replica", status.astype("int8")),
            **{name: ("replica", values.astype("float32")) for name, values in network.items()},
        }
    )


def load(path: str | Path) -> xr.Dataset:
    """Open a study's table; variables are read when they are used.

    Raises
    ------
    StoreError
        If there is no table there.
    """
    return store.open(path, store.TABLE)


def hypercube(data: Data, dimension: str) -> Data:
    """Return data with one dimension for each of the four imaging parameters.

    Parameters
    ----------
    data : Dataset or DataArray
        With the dimension `dimension` and its coordinates ``{dimension}_defocus_nm`` and so on.
    dimension : {"train", "test"}
        The dimension to unstack. A combination that the grid lacks is NaN.
    """
    names = [f"{dimension}_{axis}" for axis in AXES]
    return data.drop_vars(dimension).set_index({dimension: names}).unstack(dimension)
