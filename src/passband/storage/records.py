"""Records of a job's networks: one store for one or several training conditions.

A record is a list of named variables for each image, such as `counts` (replica, test_specimen,
test, structure, outcome). Whatever variables there are, they are written and read.

In a record's file, every variable has the dimension `train` in front, with the ids of the training
conditions. In memory, each training condition has a record of its own. If networks are tested under
their own training condition too, these records have different conditions along `test`. In the file,
the last place along `test` is then :data:`OWN`: it has the results of the networks of each training
condition under this condition.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from passband.storage import datasets, json_text
from passband.storage.integrity import DamagedError

#: The name of each training condition along `test`. No condition has this id.
OWN = "own"
#: The first dimensions of the results of images.
CELL = ("replica", "test_specimen", "test")
#: The attribute with the kinds of devices that the results were made on, as JSON.
DEVICES = "devices"


def with_own(test: Sequence[str], train: str, test_own: bool) -> list[str]:
    """Return the ids of the conditions in a record: test conditions, and maybe the training one.

    Args:
        train: Id of the training condition of the record's networks.
        test_own: Whether networks are tested under their own training condition, wherever they are
            trained.
    """
    return [*test, *([train] if test_own and train not in test else [])]


def devices_of(record: xr.Dataset) -> set[str]:
    """Return the kinds of devices that the results of a record were made on."""
    return set(json_text.parse(record.attrs.get(DEVICES, "[]")))


def write(made: Mapping[str, xr.Dataset], path: str | Path, attrs: Mapping[str, str]) -> None:
    """Write the record of a job's networks to one zip file, completely or not at all.

    Args:
        made: For each training condition, by its id: the record of its networks. All records have
            the same variables, replicas, test specimens and test conditions; the training condition
            may be one more.
        attrs: Provenance, specimen and architecture.
    """
    aligned = _aligned(made)
    first, *_ = aligned.values()
    together = xr.Dataset(
        {
            name: (
                ("train", *variable.dims),
                np.stack([record[name].values for record in aligned.values()]),
                variable.attrs,
            )
            for name, variable in first.data_vars.items()
        },
        {"train": list(aligned), **first.coords},
    )
    devices = set().union(*map(devices_of, aligned.values()))
    attrs = {**attrs, DEVICES: json.dumps(sorted(devices))}
    datasets.write(together, path, datasets.RECORD, attrs, {"train": 1})


def _aligned(made: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return records with the same values along `test`. The last value may be :data:`OWN`."""
    tests = [record.test.values.tolist() for record in made.values()]
    if all(test == tests[0] for test in tests):
        return dict(made)
    shared = [id for id in tests[0] if all(id in test for test in tests)]
    return {
        id: record.sel(test=[*shared, id]).assign_coords(test=[*shared, OWN])
        for id, record in made.items()
    }


def _with_own_id(record: xr.Dataset, condition: str) -> xr.Dataset:
    """Return one of aligned records with the id of the training condition, but not twice."""
    if "test" not in record.dims:  # only variables of networks were read
        return record
    *shared, last = record.test.values.tolist()
    if last != OWN:
        return record
    if condition in shared:
        return record.isel(test=slice(None, -1))
    return record.assign_coords(test=[*shared, condition])


def read(
    path: str | Path, condition: str | None = None, variables: Sequence[str] | None = None
) -> xr.Dataset:
    """Return the record of one training condition, with the attribute `condition`: its id.

    Args:
        condition: Id of the training condition. It may be left out if the record has one condition.
        variables: Names of the variables to read, see :func:`passband.storage.datasets.read`.

    Raises:
        StoreError: If the record is missing or damaged, or has other networks.
    """
    return chosen(path, read_all(path, variables), condition)


def chosen(path: str | Path, every: Mapping[str, xr.Dataset], condition: str | None) -> xr.Dataset:
    """Return the record of a training condition from :func:`read_all`, as :func:`read` does."""
    if condition is None and len(every) == 1:
        return next(iter(every.values()))
    if condition not in every:
        conditions = ", ".join(map(repr, every))
        raise DamagedError(path, f"its condition is {conditions}, expected {condition!r}")
    return every[condition]


def read_all(path: str | Path, variables: Sequence[str] | None = None) -> dict[str, xr.Dataset]:
    """Return the records of all training conditions in a file, by the id of the condition.

    Raises:
        StoreError: If the record is missing or damaged.
    """
    record = datasets.read(path, datasets.RECORD, variables)
    return {
        id: _with_own_id(record.isel(train=place, drop=True), id).assign_attrs(condition=id)
        for place, id in enumerate(record["train"].values.tolist())
    }
