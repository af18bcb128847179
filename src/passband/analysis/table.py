"""The table of results: all records of a study in one xarray Dataset on disk."""

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TypeVar

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from passband.errors import PassbandError
from passband.grid import Axes, Condition, axes_of, of_conditions
from passband.groups import conditions_per_file
from passband.matrices.stored import NETWORK
from passband.results import Results, network_batches
from passband.scores import OUTCOMES, dice
from passband.storage import DamagedError, atomic, datasets, integrity, records

#: Values of the variable `status` of the table of results. A value that was never written is read
#: as 0 ("missing").
STATUS = {"missing": 0, "done": 1}

# The dimensions of a record's variables of images.
_IMAGE = ("replica", "test_specimen", "test", "structure")
#: The value that is stored in place of the counts of a missing network.
NO_COUNT = 2**32 - 1
#: Largest number of combinations of values that :func:`hypercube` makes from fewer conditions.
_LARGEST_CUBE = 10_000

Data = TypeVar("Data", xr.Dataset, xr.DataArray)


class IncompleteError(PassbandError):
    """Networks of the grid are missing, so the table of results would be incomplete."""


@dataclass(frozen=True)
class Cell:
    """The path of a job's record of results, and its networks under one training condition."""

    specimen: str
    architecture: str
    train: str
    replicas: tuple[int, ...]
    path: str


def cells_of(results: Results) -> list[Cell]:
    """Return the record of every job and every training condition of a study."""
    return [
        Cell(
            specimen=batch.specimen,
            architecture=batch.architecture,
            train=id,
            replicas=batch.replicas,
            path=str(results.record(batch)),
        )
        for batch in network_batches.batches_of(results.study)
        for id in batch.conditions
    ]


def aggregate(
    cells: Sequence[Cell],
    test: Sequence[Condition],
    test_specimens: Sequence[str],
    path: str | Path,
    attrs: Mapping[str, str],
    allow_incomplete: bool = False,
    threads: int = 1,
    test_own: bool = False,
) -> None:
    """Write all records of a study to the table of results.

    Each thread has the data of only one job, and of the training conditions in one file of the
    table, in memory at a time. So little memory is needed.

    The table of results has `counts` (specimen, architecture, train, replica, test_specimen, test,
    structure, outcome) in pixels, and `dice`, the mean Dice over structures. For each network, the
    table has `val_loss`, `best_epoch` and `status`. For a missing network, `status` is 0 and all
    other variables are missing. Other variables of images that records have are in the table too,
    whatever their names; they are missing for architectures whose records lack them. With
    `test_own`, the table has `own_counts` and `own_dice` too, and the same of other variables: the
    results of each network under its own training condition, which need not be among the test
    conditions.

    Args:
        cells: The record of every job and every training condition of the grid, whether or not this
            record exists. A job may have several training conditions.
        test: Ids of the test conditions.
        path: The path of the table of results. The table is written completely or not at all.
        attrs: Provenance of the table of results.
        allow_incomplete: Whether records may be missing.
        threads: Number of training conditions that are written at the same time.
        test_own: Whether each network was tested under its own training condition too. A record
            then has this condition after the test conditions, unless it is one of them.

    Raises:
        IncompleteError: If a record is missing and `allow_incomplete` is false, or if all records
            are missing. The error's message names the first missing record.
        StoreError: If a record is damaged or belongs to another job.
    """
    paths = {cell.path for cell in cells}
    missing = {path for path in paths if not os.path.exists(path)}
    if missing and (not allow_incomplete or missing == paths):
        raise IncompleteError(
            f"{len(missing)} of {len(paths)} records are missing, the first is {min(missing)}; "
            "run the grid to its end, or set study.allow_incomplete: true"
        )
    likes = _likes([cell for cell in cells if cell.path not in missing])
    like = xr.merge(likes.values(), join="exact", compat="override")
    sizes = {
        "specimen": list(dict.fromkeys(cell.specimen for cell in cells)),
        "architecture": list(dict.fromkeys(cell.architecture for cell in cells)),
        "train": test[0].axes.order(cell.train for cell in cells),
        "replica": sorted({replica for cell in cells for replica in cell.replicas}),
        "test_specimen": list(test_specimens),
        "test": [condition.id for condition in test],
        "structure": list(range(like.sizes["structure"])),
        "outcome": list(OUTCOMES),
    }
    rows: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.specimen, cell.architecture, cell.train), []).append(cell)
    with atomic.replacing(path) as beside:
        attrs = {**attrs, "kind": datasets.TABLE}
        chunks, shards = storage(sizes)
        empty = _template(sizes, test[0].axes, test_own, like).assign_attrs(attrs)
        datasets.create(empty, beside, chunks, fill=counts_of(empty), shards=shards)
        folder = zarr.open_group(beside, mode="r+")

        def write(place: tuple[int, int, slice]) -> dict[str, np.ndarray]:
            """Write the training conditions of one file of each variable."""
            specimen, architecture, train = place
            named = sizes["specimen"][specimen], sizes["architecture"][architecture]
            # Conditions that follow each other are often in one file for each batch of replicas.
            read_all = lru_cache(maxsize=len({cell.replicas for cell in cells}))(records.read_all)
            values = []
            networks = []
            for condition in sizes["train"][train]:
                row = rows.get((*named, condition), [])
                there = [cell for cell in row if cell.path not in missing]
                of_row = [
                    _record(cell, read_all(cell.path), sizes, test_own, likes[cell.architecture])
                    for cell in there
                ]
                of_tests = [record.sel(test=sizes["test"]) for record in of_row]
                found = _row(of_tests, sizes, like)
                if test_own:
                    alone = [record.sel(test=[condition]) for record in of_row]
                    at_home = _row(alone, sizes | {"test": [condition]}, like)
                    found |= {f"own_{name}": each[:, :, 0] for name, each in at_home.items()}
                values.append(found)
                networks.append(_network(of_row, sizes))
            # Each thread writes whole files, so that threads can write at the same time.
            for name in values[0]:
                folder[name][place] = np.stack([each[name] for each in values])
            return {name: np.stack([n[name] for n in networks]) for name in networks[0]}

        networks = _networks(sizes)
        places = _places(sizes)
        with ThreadPoolExecutor(threads) as pool:
            for place, network in zip(places, pool.map(write, places), strict=True):
                for name, values in network.items():
                    networks[name].values[place] = values
        datasets.create(networks.assign_attrs(attrs), beside, {}, add=True)
        datasets.consolidate(beside)


def storage(sizes: Mapping[str, list]) -> tuple[dict[str, int], dict[str, int] | None]:
    """Return chunks and shards of the table's variables, see :func:`datasets.create`.

    A chunk has one training condition. If there are many training conditions, a file has several
    chunks, so that a variable has at most about :data:`passband.groups.MOST_FILES` files.
    """
    chunks = dict.fromkeys(NETWORK[:3], 1)
    together = conditions_per_file(len(sizes["train"]))
    return chunks, None if together == 1 else {**chunks, "train": together}


def counts_of(table: xr.Dataset) -> dict[str, int]:
    """Return the names of a table's counts of pixels, each with :data:`NO_COUNT`."""
    return {str(name): NO_COUNT for name, v in table.data_vars.items() if "outcome" in v.dims}


def _places(sizes: Mapping[str, list]) -> list[tuple[int, int, slice]]:
    """Return the indices of the training conditions in each file, by specimen and architecture."""
    number = len(sizes["train"])
    together = conditions_per_file(number)
    return [
        (specimen, architecture, slice(first, min(first + together, number)))
        for specimen in range(len(sizes["specimen"]))
        for architecture in range(len(sizes["architecture"]))
        for first in range(0, number, together)
    ]


def _likes(cells: Sequence[Cell]) -> dict[str, xr.Dataset]:
    """Return the variables of images in a record of each architecture, with one network and test.

    Networks with a head have more variables than others.

    Raises:
        DamagedError: If architectures have other numbers of structures.
    """
    found: dict[str, xr.Dataset] = {}
    for cell in cells:
        if cell.architecture in found:
            continue
        record = records.read(cell.path, cell.train)
        record = record[_of_images(record)].transpose(*_IMAGE, ...)
        record = record.isel({name: [0] for name in records.CELL}).drop_vars(records.CELL)
        _check_sizes(
            cell.path, record, like=next(iter(found.values()), record), along=["structure"]
        )
        found[cell.architecture] = record
    return found


def _check_sizes(
    path: str, record: xr.Dataset, *, like: xr.Dataset, along: Iterable[Hashable]
) -> None:
    """Raise DamagedError if a record has other sizes than another one."""
    for dimension in along:
        if record.sizes[dimension] != like.sizes[dimension]:
            raise DamagedError(
                path,
                f"has {record.sizes[dimension]} along {dimension}, other records have "
                f"{like.sizes[dimension]}",
            )


def _of_images(record: xr.Dataset) -> list[str]:
    """Return the names of a record's variables of images: the counts, and what no code names."""
    dims = {str(name): record.variables[name].dims for name in record.data_vars}
    return [name for name, own in dims.items() if {*_IMAGE} <= {*own}]


def missing_value(variable: xr.DataArray) -> float:
    """Return the value of a variable's missing networks."""
    return variable.attrs.get("missing", np.nan if variable.dtype.kind == "f" else 0)


def _template(sizes: dict[str, list], axes: Axes, test_own: bool, like: xr.Dataset) -> xr.Dataset:
    """Return a table of results in which all values are missing. This table takes no memory."""
    further = {name: list(range(n)) for name, n in like.sizes.items() if name not in sizes}

    def full(dims: tuple[str, ...], dtype: str, value: float = np.nan, **attrs: str) -> tuple:
        # The array has one dask chunk, which is never computed. Dask's automatic chunks would not
        # match the chunks of the table on disk.
        shape = [len((sizes | further)[d]) for d in dims]
        return dims, da.full(shape, value, dtype=dtype, chunks=-1), attrs

    def both(before: str, dims: tuple[str, ...], counts: str, dice: str, **attrs: str) -> dict:
        """Return the variables with counts and with mean Dice, and with these words about them."""
        of_images = (*dims, "structure", "outcome")
        dice = f"{dice}, mean over structures"
        return {
            f"{before}counts": full(of_images, "float64", units="pixels", long_name=counts),
            f"{before}dice": full(dims, "float32", units="1", long_name=dice, **attrs),
        }

    cell = (*NETWORK, "test_specimen", "test")
    variables = {}
    # The results that are no columns of the matrix come first.
    if test_own:
        where = "under the network's own training condition"
        variables |= both("own_", cell[:-1], f"pixels by outcome {where}", f"Dice {where}")
    variables |= both(
        *("", cell, "pixels by outcome: true and false positives, false negatives", "Dice"),
        empty_masks="Dice of an image without particle pixels is 1 if none was predicted, "
        "otherwise 0",
    )
    for name, each in like.drop_vars("counts").data_vars.items():
        of_image = (*NETWORK[:3], *each.dims)
        of_own = tuple(d for d in of_image if d != "test")
        for before, dims in (("", of_image), *([("own_", of_own)] if test_own else [])):
            value = missing_value(each)
            variables[f"{before}{name}"] = full(dims, each.dtype, value, **each.attrs)
    return xr.Dataset(
        variables,
        {
            **{name: c for name, c in like.coords.items() if {*c.dims} <= {*further}},
            **{name: values for name, values in sizes.items() if name != "structure"},
            **axes.coordinates(sizes["train"], "train"),
            **axes.coordinates(sizes["test"], "test"),
        },
    )


def _networks(sizes: dict[str, list]) -> xr.Dataset:
    """Return the table's variables for each network, in which all values are missing."""
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
    shape = [len(sizes[dimension]) for dimension in NETWORK]
    return xr.Dataset(
        {
            name: (NETWORK, np.full(shape, value, dtype), attrs)
            for name, (value, dtype, attrs) in described.items()
        }
    )


def _record(
    cell: Cell,
    every: Mapping[str, xr.Dataset],
    sizes: dict[str, list],
    test_own: bool,
    like: xr.Dataset,
) -> xr.Dataset:
    """Return a cell's record from those of its file, or raise DamagedError if it is another's.

    The parameters are as in :func:`aggregate`; `like` has the variables of another record of the
    same architecture.
    """
    record = records.chosen(cell.path, every, cell.train)
    named = {"specimen": cell.specimen, "architecture": cell.architecture, "condition": cell.train}
    integrity.check_attributes(cell.path, record.attrs, named)
    expected = {
        "test_specimen": sizes["test_specimen"],
        "test": records.with_own(sizes["test"], cell.train, test_own),
        "replica": cell.replicas,
    }
    for dimension, values in expected.items():
        if record[dimension].values.tolist() != list(values):
            raise DamagedError(cell.path, f"its values of {dimension} differ from the study's")
    if lacking := sorted({*like.data_vars} ^ {*_of_images(record)}):
        raise DamagedError(cell.path, f"{lacking[0]} is not in all records")
    others = [name for name in like.sizes if name not in expected]
    _check_sizes(cell.path, record, like=like, along=others)
    return record


def _row(
    of_row: Sequence[xr.Dataset], sizes: dict[str, list], like: xr.Dataset
) -> dict[str, np.ndarray]:
    """Return the variables in the records of one training condition in their stored form."""
    made = {}
    for name, each in like.data_vars.items():
        shape = [len(sizes[d]) if d in sizes else n for d, n in each.sizes.items()]
        is_counts = name == "counts"
        value = NO_COUNT if is_counts else missing_value(each)
        made[str(name)] = np.full(shape, value, "uint32" if is_counts else each.dtype)
    for record in of_row:
        where = [sizes["replica"].index(replica) for replica in record.replica.values]
        for name, values in made.items():
            if name in record:  # networks without a head find no particles
                values[where] = record[name].transpose(*like[name].dims).values
    return made | {"dice": _dice(made["counts"])}


def _network(of_row: Sequence[xr.Dataset], sizes: dict[str, list]) -> dict[str, np.ndarray]:
    """Return the variables of the networks in the records of one training condition."""
    number = len(sizes["replica"])
    network = {name: np.full(number, np.nan) for name in ("val_loss", "best_epoch")}
    network["status"] = np.full(number, STATUS["missing"])
    for record in of_row:
        where = [sizes["replica"].index(replica) for replica in record.replica.values]
        for name in ("val_loss", "best_epoch"):
            network[name][where] = record[name].values
        network["status"][where] = STATUS["done"]
    return network


def _dice(counts: np.ndarray) -> np.ndarray:
    """Return mean Dice (replica, test_specimen, test) from counts of pixels in stored form."""
    values = dice(counts).mean(-1)
    values[counts[:, 0, 0, 0, 0] == NO_COUNT] = np.nan
    return values


def hypercube(data: Data, dimension: str) -> Data:
    """Return data with one dimension for each axis of the study.

    Args:
        data: Data with the dimension `dimension` and the coordinates of this dimension, such as
            ``{dimension}_defocus_nm``.
        dimension: `train` or `test`, the dimension to replace by the axes' dimensions. The data are
            NaN for combinations of imaging parameters that are not in the grid. Mixtures of
            conditions are left out.

    Raises:
        PassbandError: If the conditions are points, with far more combinations of values than
            conditions.
    """
    data = of_conditions(data)
    names = [f"{dimension}_{axis}" for axis in axes_of(data)]
    cells = prod(len(np.unique(data[name])) for name in names)
    if cells > max(_LARGEST_CUBE, 2 * data.sizes[dimension]):
        raise PassbandError(
            f"hypercube of {dimension} = {data.sizes[dimension]:,} conditions: has {cells:,} "
            "combinations of values, since the conditions are points and no product; select "
            f"conditions by the coordinates {', '.join(names)}"
        )
    return data.drop_vars(dimension).set_index({dimension: names}).unstack(dimension)
