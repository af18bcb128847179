"""Records that are filled from other records, whatever variables these have."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from passband.storage import records
from passband.storage.partial_record import PartialRecord
from passband.storage.records import CELL

SIZES = {"replica": 3, "test_specimen": 2, "test": 2, "structure": 3, "instance": 2}
NAMES = {"replica": [0, 1, 4], "test_specimen": ["gold", "silver"], "test": ["a", "b"]}


def empty() -> PartialRecord:
    return PartialRecord(*NAMES.values())


def record(number: int = 0, **names: list) -> xr.Dataset:
    """Return a record whose counts are all different, those of another number too."""
    coords = NAMES | names
    shape = [*map(len, coords.values()), SIZES["structure"]]
    counts = (
        1 + np.arange(np.prod(shape), dtype=np.uint32).reshape(shape) + np.uint32(1000 * number)
    )
    made = xr.Dataset({"counts": ((*CELL, "structure"), counts)}, coords)
    return made.assign_attrs({records.DEVICES: json.dumps([f"device {number}"])})


def valid(record: xr.Dataset) -> np.ndarray:
    return np.ones([record.sizes[name] for name in CELL], bool)


def test_missing_results_are_taken_one_by_one():
    found = empty()
    assert found.missing == {0, 1, 4}
    first = record(0)
    which = valid(first)
    which[1, 0, 1] = which[2] = False
    found.take(first, which)
    assert found.missing == {1, 4}
    assert found.missing_pairs == [(s, t) for s in NAMES["test_specimen"] for t in NAMES["test"]]
    assert [(replicas, lacking.tolist()) for replicas, lacking in found.lacking()] == [
        ([1], [[False, True], [False, False]]),
        ([4], [[True, True], [True, True]]),
    ]
    # In another order, with more than is missing, and with what does not belong to it.
    other = record(1, replica=[9, 4, 1], test=["c", "b", "a"], test_specimen=["silver", "gold"])
    found.take(other, valid(other))
    assert (found.missing, found.missing_pairs, list(found.lacking())) == (set(), [], [])
    expected = first.counts.copy()
    expected.loc[{"replica": 4}] = other.counts.sel(
        replica=4, test=["a", "b"], test_specimen=NAMES["test_specimen"]
    )
    at = {"replica": 1, "test_specimen": "gold", "test": "b"}
    expected.loc[at] = other.counts.sel(at)
    xr.testing.assert_equal(found.as_record().counts, expected)
    assert found.devices == {"device 0", "device 1"}


def test_what_is_there_is_not_replaced():
    found = empty()
    for number in range(2):
        found.take(record(number), valid(record()))
    xr.testing.assert_equal(found.as_record(), record(0).drop_attrs())
    assert found.devices == {"device 0"}


def test_nothing_is_taken_from_a_record_of_other_results():
    found = empty()
    found.take(record(), ~valid(record()))
    found.take(record(replica=[7]), np.ones((1, 2, 2), bool))
    assert not found.there.any()
    assert found.devices == set()


@st.composite
def variables(draw) -> dict[str, tuple]:
    """Return variables along any dimensions of a record, and one that no record has."""
    names = draw(st.lists(st.sampled_from(["a", "agreement", "histogram", "network", "pair"])))
    found = {}
    for name in names:
        dims = draw(st.lists(st.sampled_from(list(SIZES)), unique=True))
        dtype = draw(st.sampled_from(["u1", "i4", "f4", "f8", "?"]))
        found[name] = dims, draw(arrays.arrays(dtype, [SIZES[d] for d in dims]))
    return found


@pytest.mark.slow
@settings(max_examples=15)
@given(variables(), arrays.arrays(bool, [3, 2, 2]))
def test_any_variable_is_carried_by_its_dimensions(tmp_path_factory, found, first):
    values = np.random.default_rng(0).random([SIZES[d] for d in (*CELL, "structure")])
    whole = xr.Dataset({"unknown": ((*CELL, "structure"), values), **found}, NAMES)
    path = tmp_path_factory.mktemp("records") / "record.zarr.zip"
    records.write(dict.fromkeys(("c", "d"), whole), path, {})
    for stored in records.read_all(path).values():
        xr.testing.assert_equal(stored.compute(), whole)
        filled = empty()
        filled.take(stored, first)
        filled.take(stored, ~first)
        assert not filled.missing
        joined = filled.as_record()
        assert {*joined} == {*whole}
        for name, variable in joined.data_vars.items():
            assert variable.dtype == whole[name].dtype
            np.testing.assert_array_equal(variable.transpose(*whole[name].dims), whole[name])


def test_only_variables_of_all_records_are_kept():
    found = empty()
    one = record().sel(replica=[0])
    other = record().sel(replica=[1, 4])
    found.take(one.assign(sums=one.counts.sum("structure")), valid(one))
    assert "sums" in found.as_record()
    found.take(other.assign(more=other.counts), valid(other))
    assert not found.missing
    assert list(found.as_record()) == ["counts"]


@pytest.mark.parametrize("order", [1, -1])
def test_what_holds_for_all_networks_is_that_of_any_record(order):
    area = xr.DataArray([0.1, 0.2, 0.3], dims="structure", name="area")
    found = empty()
    for replica in NAMES["replica"][::order]:
        one = record().sel(replica=[replica]).assign(area=area)
        found.take(one, valid(one))
    xr.testing.assert_equal(found.as_record().area, area)
