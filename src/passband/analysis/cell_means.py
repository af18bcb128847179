"""Means of the sums of confidence in each cell: mean values over the images of a test condition.

The sums of each image are in the records, see :mod:`passband.learning.confidence`. Records of
earlier versions of Passband do not have these sums.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from passband.scores import BINS, PRODUCTS, STATISTICS, pairs
from passband.storage import datasets

_CELL = ("test_specimen", "test")

#: For each variable: its dimensions in a record without `structure`, its values where it is
#: missing, and its attributes. The first dimension is `replica` or `pair`.
VARIABLES: dict[str, tuple[tuple[str, ...], np.generic, dict[str, str]]] = {
    "confidence": (
        ("replica", *_CELL, "statistic"),
        np.float32(np.nan),
        {
            "units": "pixels",
            "long_name": "sums over the pixels of an image, mean over structures",
        },
    ),
    "histogram": (
        ("replica", *_CELL, "bin"),
        np.uint16(0),
        {"units": "1/65535", "long_name": "part of the pixels with p in a bin; all 0: missing"},
    ),
    "agreement": (
        ("pair", *_CELL, "product"),
        np.float32(np.nan),
        {
            "units": "pixels",
            "long_name": "sums of products of two replicas, mean over structures",
        },
    ),
}


def cell_means(record: xr.Dataset) -> xr.Dataset | None:
    """Return the means of a record's sums over its structures, or None if the record has no sums.

    Returns:
        The variables of :data:`VARIABLES`. `agreement` is absent if the record has one replica.
    """
    if "confidence" not in record:
        return None
    means: dict[str, object] = {"histogram": record.histogram}
    for name in ("confidence", "agreement"):
        if name in record:
            sums = record[name]
            # einsum takes a fifth of the time of numpy's mean along an inner dimension.
            total = np.einsum("...sk->...k", sums.values)
            dims = [dimension for dimension in sums.dims if dimension != "structure"]
            means[name] = (dims, total / np.float32(sums.sizes["structure"]))
    return xr.Dataset(means, record.coords)


def own_sizes(batches: Sequence[Sequence[int]]) -> dict[str, list]:
    """Return the values along the dimensions that only these variables have.

    Args:
        batches: The replicas of each batch. Only replicas of the same batch make pairs.
    """
    couples = sorted({pair for batch in batches for pair in pairs(batch)})
    sizes = {"statistic": list(STATISTICS), "bin": list(range(BINS))}
    return sizes | ({"pair": couples, "product": list(PRODUCTS)} if couples else {})


def own_coordinates(sizes: Mapping[str, list]) -> dict[str, object]:
    """Return the coordinates of the dimensions of :func:`own_sizes`."""
    coords = {"statistic": sizes["statistic"], "bin_start": ("bin", np.arange(BINS) / BINS)}
    if "pair" in sizes:
        ends = np.array(sizes["pair"])
        coords |= {"product": sizes["product"], "first": ("pair", ends[:, 0])}
        coords |= {"second": ("pair", ends[:, 1])}
    return coords


def names(sizes: Mapping[str, list]) -> list[str]:
    """Return the names of the variables that results with these sizes have."""
    return [name for name, (dims, _, _) in VARIABLES.items() if dims[0] in sizes]


def put(row: Mapping[str, np.ndarray], means: xr.Dataset, sizes: Mapping[str, Sequence]) -> None:
    """Copy the means of a record into the row of a training condition.

    Args:
        row: The variables of the training condition, with the dimensions of :data:`VARIABLES`.
        means: The result of :func:`cell_means`.
        sizes: The values along each dimension of the row.
    """
    for name, variable in means.data_vars.items():
        if name not in row:
            continue
        first, *cell = VARIABLES[name][0][:3]
        if first == "pair":
            own = pairs(means.replica.values.tolist())
        else:
            own = means.replica.values.tolist()
        values = [own, *(means[dimension].values.tolist() for dimension in cell)]
        places = []
        for dimension, each in zip((first, *cell), values, strict=True):
            by_value = {value: place for place, value in enumerate(sizes[dimension])}
            places.append([by_value[value] for value in each])
        row[name][np.ix_(*places)] = variable.transpose(*VARIABLES[name][0]).values


def empty_row(sizes: Mapping[str, Sequence]) -> dict[str, np.ndarray]:
    """Return the variables of a training condition, in which all values are missing."""
    made = {}
    for name in names(sizes):
        dims, value, _ = VARIABLES[name]
        made[name] = np.full([len(sizes[d]) for d in dims], value)
    return made


class TableMeans:
    """Writes the means to the table of results, if one record or more has them.

    Args:
        folder: The folder of the table, which exists.
        sizes: The values along each dimension of the table.
        batches: The replicas of each batch.
        storage: Chunks and shards of the table, see :func:`passband.storage.datasets.create`.
        places: For each file of a variable: index of the specimen, index of the architecture, and
            indices of the training conditions.
    """

    def __init__(
        self,
        folder: Path,
        sizes: Mapping[str, list],
        batches: Sequence[Sequence[int]],
        storage: tuple[dict[str, int], dict[str, int] | None],
        places: Sequence[tuple[int, int, slice]],
    ):
        self._folder, self._lock = folder, threading.Lock()
        self._sizes = {**sizes, **own_sizes(batches)}
        self._storage, self._left = storage, list(places)
        self._group: zarr.Group | None = None

    def write(self, place: tuple[int, int, slice], records: Sequence[Sequence[xr.Dataset]]) -> None:
        """Write the means of the training conditions in a file, unless no record has sums.

        Several threads may call this method, each for another file.

        Args:
            place: Index of the specimen, index of the architecture, and indices of the training
                conditions.
        """
        means = [
            [made for record in row if (made := cell_means(record)) is not None] for row in records
        ]
        if not any(means):
            return
        rows = [empty_row(self._sizes) for _ in means]
        for row, of_row in zip(rows, means, strict=True):
            for each in of_row:
                put(row, each, self._sizes)
        with self._lock:
            group = self._group = self._group or self._create()
            self._left.remove(place)
        for name in rows[0]:
            group[name][place] = np.stack([row[name] for row in rows])

    def complete(self) -> None:
        """Write missing values for all training conditions that no other call has written."""
        if self._group is None:
            return
        row = empty_row(self._sizes)
        for place in self._left:
            number = place[-1].stop - place[-1].start
            for name, values in row.items():
                self._group[name][place] = np.stack([values] * number)

    def _create(self) -> zarr.Group:
        """Add the variables to the table, without values."""
        network = ("specimen", "architecture", "train")
        variables = {}
        for name in names(self._sizes):
            dims, value, attrs = VARIABLES[name]
            dims = (*network, *dims)
            shape = [len(self._sizes[d]) for d in dims]
            variables[name] = (dims, da.full(shape, value, dtype=value.dtype, chunks=-1), attrs)
        added = xr.Dataset(variables, own_coordinates(self._sizes))
        chunks, shards = self._storage
        datasets.create(added, self._folder, chunks, shards=shards, add=True)
        return zarr.open_group(self._folder, mode="r+")
