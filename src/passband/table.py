"""All records of a study as one xarray Dataset on disk."""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dask.array as da
import numpy as np
import xarray as xr
import zarr

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
    threads: int = 1,
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
    threads : int
        Training conditions to take on at a time.

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
    places = [
        tuple(
            sizes[dimension].index(name) for dimension, name in zip(_NETWORK, names, strict=False)
        )
        for names in rows
    ]
    with store.replacing(path) as beside:
        attrs = {**attrs, "kind": store.TABLE}
        store.create(
            _template(sizes).assign_attrs(attrs), beside, dict.fromkeys(_NETWORK[:3], 1), _NO_COUNT
        )
        folder = zarr.open_group(beside, mode="r+")
        counts, mean = folder["counts"], folder["dice"]

        def write(place: tuple[int, ...], row: Sequence[Cell]) -> dict[str, np.ndarray]:
            values, network = _row([cell for cell in row if cell.path not in missing], sizes)
            # A chunk to itself, as `store.create` was told: rows are written side by side.
            counts[place] = values
            mean[place] = _dice(values)
            return network

        networks = {name: variable.values for name, variable in _networks(sizes).items()}
        with ThreadPoolExecutor(threads) as pool:
            for place, network in zip(places, pool.map(write, places, rows.values()), strict=True):
                for name, values in network.items():
                    networks[name][place] = values
        store.create(_networks(sizes, networks).assign_attrs(attrs), beside, {}, add=True)
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
        # One chunk of dask's, never computed: those it picks by itself cut across the table's.
        return dims, da.full([len(sizes[d]) for d in dims], value, dtype=dtype, chunks=-1), attrs

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
        },
        coords={
            **{name: values for name, values in sizes.items() if name != "structure"},
            **coordinates(sizes["train"], "train"),
            **coordinates(sizes["test"], "test"),
        },
    )


def _networks(sizes: dict[str, list], values: Mapping[str, np.ndarray] | None = None) -> xr.Dataset:
    """Return the table's variables of networks, filled with `values` or every network missing."""
    described = {
        "val_loss": (np.nan, "float32", {"units": "1", "long_name": "validation loss"}),
        "best_epoch": (
            np.nan,
            "float32",
            {
                "units": "1",
                "long_name": "chosen epoch, from 0",
                "selection": "lowest validation loss on the training condition",
            },
        ),
        "status": (
            STATUS["missing"],
            "int8",
            {
                "long_name": "whether the network is there",
                "flag_values": list(STATUS.values()),
                "flag_meanings": " ".join(STATUS),
            },
        ),
    }
    shape = [len(sizes[dimension]) for dimension in _NETWORK]
    return xr.Dataset(
        {
            name: (
                _NETWORK,
                np.full(shape, value, dtype) if values is None else values[name],
                attrs,
            )
            for name, (value, dtype, attrs) in described.items()
        }
    )


def _row(cells: Sequence[Cell], sizes: dict[str, list]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return counts, as they are stored, and the variables of networks of a training condition."""
    shape = {name: len(values) for name, values in sizes.items() if name not in _NETWORK[:3]}
    counts = np.full(list(shape.values()), _NO_COUNT, "uint32")
    network = {name: np.full(shape["replica"], np.nan) for name in ("val_loss", "best_epoch")}
    network["status"] = np.full(shape["replica"], STATUS["missing"])
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
        for name in ("val_loss", "best_epoch"):
            network[name][where] = record[name].values
        network["status"][where] = STATUS["done"]
    return counts, network


def _dice(counts: np.ndarray) -> np.ndarray:
    """Return the mean Dice (replica, test_specimen, test) of counts as they are stored."""
    values = dice(counts).mean(-1)
    values[counts[:, 0, 0, 0, 0] == _NO_COUNT] = np.nan
    return values


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
