"""Records in which results may be missing, and which are filled from other records."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import xarray as xr

from passband.storage.records import CELL, devices_of


class PartialRecord:
    """The record of one training condition's networks, in which results may be missing.

    Attributes:
        there: Whether each result is there, (replica, test_specimen, test) bool.
        devices: The kinds of devices that the results were made on.

    Args:
        replicas, specimens, tests: Which results belong to it: numbers, names and ids.
    """

    def __init__(self, replicas: Sequence[int], specimens: Sequence[str], tests: Sequence[str]):
        self._names = {
            name: list(x) for name, x in zip(CELL, (replicas, specimens, tests), strict=True)
        }
        self.there = np.zeros([len(values) for values in self._names.values()], bool)
        self.devices: set[str] = set()
        self._variables: dict[str, xr.Variable] = {}
        self._coords: dict[str, xr.Variable] = {}

    @property
    def tests(self) -> list[str]:
        """The ids of what networks are tested under."""
        return self._names["test"]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each test specimen with each of :attr:`tests`."""
        return list(product(self._names["test_specimen"], self.tests))

    @property
    def missing_pairs(self) -> list[tuple[str, str]]:
        """Those of :attr:`pairs` whose results are missing for some network."""
        complete = self.there.all(0).ravel()
        return [pair for pair, is_there in zip(self.pairs, complete, strict=True) if not is_there]

    @property
    def missing(self) -> set[int]:
        """The replicas that lack results."""
        complete = self.there.all((1, 2))
        return {r for r, all in zip(self._names["replica"], complete, strict=True) if not all}

    def lacking(self) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield replicas that lack the same results, and which these are.

        The results are (test_specimen, test) bool. No replica is in two of the lists.
        """
        alike: dict[bytes, list[int]] = {}
        for place, there in enumerate(self.there):
            alike.setdefault(there.tobytes(), []).append(place)
        for places in alike.values():
            lacking = ~self.there[places[0]]
            if lacking.any():
                yield [self._names["replica"][place] for place in places], lacking

    def take(self, record: xr.Dataset, valid: np.ndarray) -> None:
        """Take from another record those of its valid results that are missing.

        Any variables are taken, except those that not all taken records have.

        Args:
            valid: (replica, test_specimen, test) bool, along the record's own coordinates.
        """
        here = {}
        places = {}
        for name, values in self._names.items():
            found = record.get_index(name).get_indexer(values)
            here[name] = np.flatnonzero(found >= 0)
            places[name] = found[found >= 0]
        mine, theirs = np.ix_(*here.values()), np.ix_(*places.values())
        new = valid[theirs] & ~self.there[mine]
        if not new.any():
            return
        given = {str(n): v.variable.transpose(*_cell(v), ...) for n, v in record.data_vars.items()}
        if not self.there.any():
            self._variables = {name: self._empty(variable) for name, variable in given.items()}
            coords = record.coords.items()
            self._coords = {str(n): c.variable for n, c in coords if not _cell(c)}
        self._variables = {n: v for n, v in self._variables.items() if n in given}
        for name, variable in self._variables.items():
            dims = _cell(variable)
            at, of = (np.ix_(*(x[d] for d in dims)) for x in (here, places))
            taken = new.any(tuple(k for k, d in enumerate(CELL) if d not in dims))
            taken = np.expand_dims(taken, tuple(range(len(dims), variable.ndim)))
            values = variable.values
            values[at] = np.where(taken, given[name].values[of], values[at])
        self.there[mine] |= new
        self.devices |= devices_of(record)

    def _empty(self, variable: xr.Variable) -> xr.Variable:
        """Return a variable of this record without values, like one of another record."""
        own = {name: len(values) for name, values in self._names.items()}
        shape = [own.get(str(d), size) for d, size in variable.sizes.items()]
        return xr.Variable(variable.dims, np.zeros(shape, variable.dtype), variable.attrs)

    def as_record(self) -> xr.Dataset:
        """Return the record. Results that are missing are 0."""
        return xr.Dataset(self._variables, {**self._names, **self._coords})


def _cell(variable: xr.Variable | xr.DataArray) -> list[str]:
    """Return those of the dimensions of :data:`CELL` that a variable has."""
    return [name for name in CELL if name in variable.dims]
