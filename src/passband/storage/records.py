"""Records of a job's networks: one store for one or several training conditions.

The part of a condition is the record that a job with this condition alone would write. In a record
of several conditions, every variable has the dimension `train` in front, with the ids of the
conditions. A record of one condition has no such dimension, as before groups of conditions existed.

A record may have any variables. Those with the dimension `replica` have values of each network,
such as the `counts` of each image; all others hold for all networks of the record.

If networks are tested under their own training condition too, the parts have different conditions
along `test`. In a record of several conditions, the last place along `test` is then :data:`OWN`. It
has the results of each part under its own training condition.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from passband.storage import datasets, json_text
from passband.storage.integrity import DamagedError
from passband.wave_sets import wave_set_of

#: The name of each part's training condition along `test`. No condition has this id.
OWN = "own"


def with_own(test: Sequence[str], train: str, test_own: bool) -> list[str]:
    """Return the ids of the conditions in a record: test conditions, and maybe the training one.

    Args:
        train: Id of the training condition of the record's networks.
        test_own: Whether networks are tested under their own training condition, wherever they are
            trained.
    """
    return [*test, *([train] if test_own and train not in test else [])]


def write(parts: Mapping[str, xr.Dataset], path: str | Path, attrs: Mapping[str, str]) -> None:
    """Write the record of a job's networks to one zip file, completely or not at all.

    Args:
        parts: For each training condition, by its id: the record of its networks. The attribute
            `contexts` of a record is a JSON object with a digest for each test specimen. All
            records have the same variables, replicas, test specimens and test conditions; the
            training condition may be one more.
        attrs: Provenance, specimen and architecture.
    """
    if len(parts) == 1:
        ((condition, record),) = parts.items()
        own = {"condition": condition, "contexts": record.attrs["contexts"]}
        record = xr.Dataset(record.data_vars, record.coords)
        datasets.write(record, path, datasets.RECORD, {**attrs, **own})
        return
    contexts = {id: json_text.parse(record.attrs["contexts"]) for id, record in parts.items()}
    parts = _aligned(parts)
    first, *_ = parts.values()
    together = xr.Dataset(
        {
            name: (
                ("train", *variable.dims),
                np.stack([record[name].values for record in parts.values()]),
                variable.attrs,
            )
            for name, variable in first.data_vars.items()
        },
        {"train": list(parts), **first.coords},
    )
    attrs = {**attrs, "contexts": json.dumps(contexts)}
    datasets.write(together, path, datasets.RECORD, attrs, {"train": 1})


def _aligned(parts: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return records with the same values along `test`. The last value may be :data:`OWN`."""
    tests = [part.test.values.tolist() for part in parts.values()]
    if all(test == tests[0] for test in tests):
        return dict(parts)
    shared = [id for id in tests[0] if all(id in test for test in tests)]
    return {
        id: part.sel(test=[*shared, id]).assign_coords(test=[*shared, OWN])
        for id, part in parts.items()
    }


def _with_own_id(part: xr.Dataset, condition: str) -> xr.Dataset:
    """Return a part of an aligned record with the id of the training condition, but not twice."""
    *shared, last = part.test.values.tolist()
    if last != OWN:
        return part
    if condition in shared:
        return part.isel(test=slice(None, -1))
    return part.assign_coords(test=[*shared, condition])


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
    return chosen(path, parts(path, variables), condition)


def chosen(path: str | Path, parts: Mapping[str, xr.Dataset], condition: str | None) -> xr.Dataset:
    """Return the record of a training condition from :func:`parts`, as :func:`read` does."""
    if (condition is None and len(parts) == 1) or list(parts) == [None]:
        return next(iter(parts.values()))
    if condition not in parts:
        conditions = ", ".join(map(repr, parts))
        raise DamagedError(path, f"its condition is {conditions}, expected {condition!r}")
    return parts[condition]


def parts(path: str | Path, variables: Sequence[str] | None = None) -> dict[str, xr.Dataset]:
    """Return the records of all training conditions in a file, by the id of the condition.

    Raises:
        StoreError: If the record is missing or damaged.
    """
    record = datasets.read(path, datasets.RECORD, variables)
    if "train" not in record.dims:
        return {record.attrs.get("condition"): record}
    try:
        contexts = json_text.parse(record.attrs["contexts"])
        return {
            id: _with_own_id(record.isel(train=place, drop=True), id).assign_attrs(
                condition=id, contexts=json.dumps(contexts[id])
            )
            for place, id in enumerate(record["train"].values.tolist())
        }
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedError(path, f"its contexts cannot be read: {error}") from None


def with_replicas(record: xr.Dataset, replicas: Sequence[int]) -> xr.Dataset:
    """Return the record of some of the replicas of a condition's record."""
    return record.sel(replica=list(replicas))


def joined(records: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return one record of the replicas of several records of the same condition.

    All records have the same test specimens and test conditions. A variable of networks that not
    all records have is left out. A variable that holds for all networks is that of the first record
    that has it.
    """
    if len(records) == 1:
        return records[0]
    of_networks = [
        name
        for name, variable in records[0].data_vars.items()
        if "replica" in variable.dims and all(name in record for record in records)
    ]
    whole = xr.concat(
        [record[of_networks] for record in records],
        "replica",
        join="exact",
        combine_attrs="override",
    ).sortby("replica")
    for record in records:
        of_all = [n for n, v in record.data_vars.items() if "replica" not in v.dims]
        whole = whole.assign({n: record[n] for n in of_all if n not in whole})
    return whole


def context_name(specimen: str, waves: str) -> str:
    """Return the name of a test specimen's context with the set `waves` of exit waves."""
    return f"{specimen}/{waves}" if waves else specimen


def still_valid(record: xr.Dataset, contexts: Mapping[str, str]) -> xr.Dataset | None:
    """Return the part of a record whose context has not changed; None without any.

    The part has those test specimens for which some results are valid, and those test conditions
    for which the results of all these specimens are valid.

    Args:
        contexts: For each test specimen and set of exit waves, a digest of everything that the
            counts of pixels depend on. The name of a digest is that of :func:`context_name`.
    """
    before = json_text.parse(record.attrs.get("contexts", "{}"))
    specimens, tests = record.test_specimen.values, record.test.values
    sets = [wave_set_of(id) for id in tests]

    def is_same(specimen: str, waves: str) -> bool:
        name = context_name(specimen, waves)
        return before.get(name) == contexts.get(name)

    same = {(name, id): is_same(name, id) for name in specimens for id in set(sets)}
    kept = [name for name in specimens if any(same[name, id] for id in set(sets))]
    valid = [all(same[name, id] for name in kept) for id in sets]
    if not kept or not any(valid):
        return None
    record = record.sel(test_specimen=kept)
    return record if all(valid) else record.isel(test=np.flatnonzero(valid))


def covers(
    record: xr.Dataset,
    replicas: Sequence[int],
    specimens: Sequence[str],
    test: Sequence[str],
) -> bool:
    """Return whether a record has exactly these replicas, test specimens and test conditions."""
    expected = {"replica": replicas, "test_specimen": specimens, "test": test}
    return all(record[name].values.tolist() == list(v) for name, v in expected.items())
