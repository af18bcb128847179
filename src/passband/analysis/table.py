"""The table of results: all records of a study in one xarray Dataset on disk."""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeVar

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from passband import PassbandError
from passband.analysis.cell_means import TableMeans
from passband.grid import Condition, axes_of, coordinates, ordered
from passband.scores import OUTCOMES, dice
from passband.storage import DamagedError, NewerError, StoreError, atomic, datasets, integrity

#: Values of the variable `status` of the table of results. A value that was never written is read
#: as 0 ("missing").
STATUS = {"missing": 0, "done": 1}

_NETWORK = ("specimen", "architecture", "train", "replica")
_NO_COUNT = 2**32 - 1
#: Largest number of combinations of values that :func:`hypercube` makes from fewer conditions.
_LARGEST_CUBE = 10_000

Data = TypeVar("Data", xr.Dataset, xr.DataArray)


class IncompleteError(PassbandError):
    """Networks of the grid are missing, so the table of results would be incomplete."""


@dataclass(frozen=True)
class Cell:
    """The path of one job's record of results, and the networks in this record."""

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
    own: Mapping[str, float] | None = None,
    allow_incomplete: bool = False,
    threads: int = 1,
    test_own: bool = False,
) -> None:
    """Write all records of a study to the table of results.

    Each thread has the data of only one training condition in memory at a time, so little memory is
    needed.

    The table of results has `counts` (specimen, architecture, train, replica, test_specimen, test,
    structure, outcome) in pixels, and `dice`, the mean Dice over structures. For each network, the
    table has `val_loss`, `best_epoch` and `status`. For a missing network, `status` is 0 and all
    other variables are NaN. If a record has sums of confidence, the table has their means too, see
    :mod:`passband.analysis.cell_means`. With `test_own`, the table has `own_counts` and `own_dice`
    too: the results of each network under its own training condition, which need not be among the
    test conditions.

    Parameters
    ----------
    cells : sequence of Cell
        The record of every job of the grid, whether or not this record exists.
    test : sequence of str
        Ids of the test conditions.
    test_specimens : sequence of str
        Names of the test specimens.
    path : path
        The path of the table of results. The table is written completely or not at all.
    attrs : mapping
        Provenance of the table of results.
    own : mapping of str to float, optional
        The study's own values of its further axes, see :func:`passband.grid.coordinates`.
    allow_incomplete : bool
        Whether records may be missing.
    threads : int
        Number of training conditions that are written at the same time.
    test_own : bool
        Whether each network was tested under its own training condition too. A record then has
        this condition after the test conditions, unless it is one of them.

    Raises
    ------
    IncompleteError
        If a record is missing and `allow_incomplete` is false, or if all records are missing. The
        error's message names the first missing record.
    StoreError
        If a record is damaged or belongs to another job.
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
        "train": [c.id for c in ordered({Condition.parse(cell.train) for cell in cells}, own)],
        "replica": sorted({replica for cell in cells for replica in cell.replicas}),
        "test_specimen": list(test_specimens),
        "test": list(test),
        "structure": list(range(datasets.read(first.path, datasets.RECORD).sizes["structure"])),
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
    with atomic.replacing(path) as beside:
        attrs = {**attrs, "kind": datasets.TABLE}
        datasets.create(
            _template(sizes, own, test_own).assign_attrs(attrs),
            beside,
            dict.fromkeys(_NETWORK[:3], 1),
            _NO_COUNT,
        )
        folder = zarr.open_group(beside, mode="r+")

        def write(place: tuple[int, ...], row: Sequence[Cell]) -> dict[str, np.ndarray]:
            there = [cell for cell in row if cell.path not in missing]
            records = [_read(cell, sizes, test_own) for cell in there]
            # Each row of the table is one chunk (see `datasets.create` above), so threads can write
            # rows at the same time.
            if test_own:
                alone = [record.sel(test=[row[0].train]) for record in records]
                values, _ = _row(there, alone, sizes | {"test": [row[0].train]})
                folder["own_counts"][place] = values[:, :, 0]
                folder["own_dice"][place] = _dice(values)[..., 0]
                records = [record.sel(test=sizes["test"]) for record in records]
            values, network = _row(there, records, sizes)
            folder["counts"][place] = values
            folder["dice"][place] = _dice(values)
            means.write(place, records)
            return network

        networks = {name: variable.values for name, variable in _networks(sizes).items()}
        means = TableMeans(beside, sizes, [cell.replicas for cell in cells])
        with ThreadPoolExecutor(threads) as pool:
            for place, network in zip(places, pool.map(write, places, rows.values()), strict=True):
                for name, values in network.items():
                    networks[name][place] = values
        means.complete()
        datasets.create(_networks(sizes, networks).assign_attrs(attrs), beside, {}, add=True)
        datasets.consolidate(beside)


def known(path: str | Path, contexts: Mapping[str, str]) -> xr.Dataset | None:
    """Return the part of an earlier record of results that is still valid, or None.

    Parameters
    ----------
    path : path
        The path of the record, which need not exist.
    contexts : mapping of str to str
        For each test specimen, a digest of everything that the counts of pixels for this test
        specimen depend on.

    Returns
    -------
    Dataset or None
        The record, with only the test specimens whose context (digest) has not changed.

    Raises
    ------
    NewerError
        If a newer Passband wrote the record, which must not be overwritten.
    """
    try:
        record = datasets.read(path, datasets.RECORD)
    except NewerError:
        raise
    except StoreError:
        return None
    return still_valid(record, contexts)


def still_valid(record: xr.Dataset, contexts: Mapping[str, str]) -> xr.Dataset | None:
    """Return the test specimens of a record whose context has not changed; None without any.

    Parameters
    ----------
    record : Dataset
        The record.
    contexts : mapping of str to str
        See :func:`known`.
    """
    before = json.loads(record.attrs.get("contexts", "{}"))
    same = [name for name in record.test_specimen.values if before.get(name) == contexts.get(name)]
    return record.sel(test_specimen=same) if same else None


def covers(
    record: xr.Dataset, replicas: Sequence[int], specimens: Sequence[str], test: Sequence[Condition]
) -> bool:
    """Return whether a record has exactly these replicas, test specimens and test conditions."""
    expected = {"replica": replicas, "test_specimen": specimens, "test": [c.id for c in test]}
    return all(list(record[name].values) == list(v) for name, v in expected.items())


def _template(
    sizes: dict[str, list], own: Mapping[str, float] | None = None, test_own: bool = False
) -> xr.Dataset:
    """Return a table of results in which all values are missing. This table takes no memory."""

    def full(dims: tuple[str, ...], value: float, dtype: str, **attrs) -> tuple:
        # The array has one dask chunk, which is never computed. Dask's automatic chunks would not
        # match the chunks of the table on disk.
        return dims, da.full([len(sizes[d]) for d in dims], value, dtype=dtype, chunks=-1), attrs

    cell = (*_NETWORK, "test_specimen", "test")
    of_own = {
        "own_counts": full(
            (*cell[:-1], "structure", "outcome"),
            np.nan,
            "float64",
            units="pixels",
            long_name="pixels by outcome under the network's own training condition",
        ),
        "own_dice": full(
            cell[:-1],
            np.nan,
            "float32",
            units="1",
            long_name="Dice under the network's own training condition, mean over structures",
        ),
    }
    return xr.Dataset(
        (of_own if test_own else {})
        | {
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
            **coordinates(sizes["train"], "train", own),
            **coordinates(sizes["test"], "test", own),
        },
    )


def _networks(sizes: dict[str, list], values: Mapping[str, np.ndarray] | None = None) -> xr.Dataset:
    """Return the table's variables for each network, filled with `values` if given.

    Without `values`, all networks are missing.
    """
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


def with_own(test: Sequence[str], train: str, test_own: bool) -> list[str]:
    """Return the ids of the conditions in a record: test conditions, and maybe the training one.

    Parameters
    ----------
    test : sequence of str
        Ids of the test conditions.
    train : str
        Id of the training condition of the record's networks.
    test_own : bool
        Whether networks are tested under their own training condition, wherever they are trained.
    """
    return [*test, *([train] if test_own and train not in test else [])]


def _read(cell: Cell, sizes: dict[str, list], test_own: bool) -> xr.Dataset:
    """Return the record of a job after comparing it with the study."""
    record = datasets.read(cell.path, datasets.RECORD)
    named = {"specimen": cell.specimen, "architecture": cell.architecture, "condition": cell.train}
    integrity.check_attributes(cell.path, record.attrs, named)
    expected = {
        "test_specimen": sizes["test_specimen"],
        "test": with_own(sizes["test"], cell.train, test_own),
        "replica": cell.replicas,
    }
    for dimension, values in expected.items():
        if list(record[dimension].values) != list(values):
            raise DamagedError(cell.path, f"its values of {dimension} differ from the study's")
    structures = len(sizes["structure"])
    if record.sizes["structure"] != structures:
        raise DamagedError(
            cell.path,
            f"has {record.sizes['structure']} structures, other records have {structures}",
        )
    return record


def _row(
    cells: Sequence[Cell], records: Sequence[xr.Dataset], sizes: dict[str, list]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the counts and network variables of one training condition in their stored form."""
    shape = {name: len(values) for name, values in sizes.items() if name not in _NETWORK[:3]}
    counts = np.full(list(shape.values()), _NO_COUNT, "uint32")
    network = {name: np.full(shape["replica"], np.nan) for name in ("val_loss", "best_epoch")}
    network["status"] = np.full(shape["replica"], STATUS["missing"])
    for cell, record in zip(cells, records, strict=True):
        where = [sizes["replica"].index(replica) for replica in cell.replicas]
        counts[where] = record.counts.values
        for name in ("val_loss", "best_epoch"):
            network[name][where] = record[name].values
        network["status"][where] = STATUS["done"]
    return counts, network


def _dice(counts: np.ndarray) -> np.ndarray:
    """Return mean Dice (replica, test_specimen, test) from counts of pixels in stored form."""
    values = dice(counts).mean(-1)
    values[counts[:, 0, 0, 0, 0] == _NO_COUNT] = np.nan
    return values


def load(path: str | Path) -> xr.Dataset:
    """Open a study's table of results. Each variable is read from disk when it is used.

    Raises
    ------
    StoreError
        If there is no table of results at the path, or if the table is damaged.
    """
    return datasets.open_folder(path, datasets.TABLE)


def hypercube(data: Data, dimension: str) -> Data:
    """Return data with one dimension for each axis of the study.

    Parameters
    ----------
    data : Dataset or DataArray
        Data with the dimension `dimension` and the coordinates of this dimension, such as
        ``{dimension}_defocus_nm``.
    dimension : {"train", "test"}
        The dimension to replace by the axes' dimensions. The data are NaN for combinations of
        imaging parameters that are not in the grid.

    Raises
    ------
    PassbandError
        If the conditions are points, with far more combinations of values than conditions.
    """
    names = [f"{dimension}_{axis}" for axis in axes_of(data)]
    cells = prod(len(np.unique(data[name])) for name in names)
    if cells > max(_LARGEST_CUBE, 2 * data.sizes[dimension]):
        raise PassbandError(
            f"hypercube of {dimension} = {data.sizes[dimension]:,} conditions: has {cells:,} "
            "combinations of values, since the conditions are points and no product; select "
            f"conditions by the coordinates {', '.join(names)}"
        )
    return data.drop_vars(dimension).set_index({dimension: names}).unstack(dimension)
