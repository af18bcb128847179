"""Records of several training conditions whose networks are tested under their own condition."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from passband.grid import Condition
from passband.storage import datasets, records
from passband.storage.records import OWN, with_own

TEST = ["a", "b"]
ATTRS = {"study": "test", "config_digest": "abc"}


def part(condition: str, seed: int, test_own: bool = True) -> xr.Dataset:
    """Return a record of a condition's networks, with random counts."""
    test = with_own(TEST, condition, test_own)
    counts = np.random.default_rng(seed).integers(1, 100, (2, 1, len(test), 4, 3), np.uint32)
    dims = "replica", "test_specimen", "test", "structure", "outcome"
    return xr.Dataset(
        {"counts": (dims, counts), "val_loss": ("replica", [0.5, 0.4])},
        {"replica": [0, 1], "test_specimen": ["gold"], "test": test, "outcome": ["tp", "fp", "fn"]},
        {"contexts": json.dumps({"gold": condition})},
    )


@pytest.mark.parametrize(
    ("trained", "stored"),
    [
        (["c", "d"], [*TEST, OWN]),
        (["b", "c", "a"], [*TEST, OWN]),
        (["a", "b"], TEST),
        (["c"], [*TEST, "c"]),
    ],
)
def test_each_part_has_its_own_condition_once(tmp_path, trained, stored):
    parts = {condition: part(condition, seed) for seed, condition in enumerate(trained)}
    path = tmp_path / "record.zarr.zip"
    records.write(parts, path, ATTRS)
    whole = datasets.read(path, datasets.RECORD)
    assert whole.test.values.tolist() == stored
    found = records.parts(path)
    assert list(found) == trained
    for condition, record in found.items():
        xr.testing.assert_equal(record.compute(), parts[condition])
        assert record.test.values.tolist() == with_own(TEST, condition, test_own=True)
        assert json.loads(record.attrs["contexts"]) == {"gold": condition}


def test_records_without_own_conditions_stay_as_they_are(tmp_path):
    parts = {condition: part(condition, 0, test_own=False) for condition in ("c", "d")}
    path = tmp_path / "record.zarr.zip"
    records.write(parts, path, ATTRS)
    assert all(record.test.values.tolist() == TEST for record in records.parts(path).values())


# Variables that no code names

SIZES = {"replica": 3, "test_specimen": 2, "test": 2, "structure": 3, "instance": 2}


@st.composite
def variables(draw) -> dict[str, tuple]:
    """Return variables along any dimensions of a record, and one that no record has."""
    names = draw(st.lists(st.sampled_from(["a", "agreement", "histogram", "counts", "pair"])))
    found = {}
    for name in names:
        dims = draw(st.lists(st.sampled_from(list(SIZES)), unique=True))
        dtype = draw(st.sampled_from(["u1", "i4", "f4", "f8", "?"]))
        found[name] = dims, draw(arrays.arrays(dtype, [SIZES[d] for d in dims]))
    return found


@settings(max_examples=25)
@given(variables(), st.permutations(range(SIZES["replica"])), st.sampled_from([1, 2]))
def test_any_variable_is_carried_by_its_dimensions(tmp_path_factory, found, order, cut):
    dims = "replica", "test_specimen", "test", "structure"
    values = np.random.default_rng(0).random([SIZES[d] for d in dims])
    whole = xr.Dataset(
        {"unknown": (dims, values), **found},
        {"replica": [0, 1, 4], "test_specimen": ["gold", "silver"], "test": TEST},
    )
    path = tmp_path_factory.mktemp("records") / "record.zarr.zip"
    written = {id: whole.assign_attrs(contexts="{}") for id in ("c", "d")}
    records.write(written, path, ATTRS)
    for record in records.parts(path).values():
        xr.testing.assert_equal(record.compute(), whole)
        chosen = [whole.replica.values[sorted(part)] for part in (order[:cut], order[cut:])]
        pieces = [records.with_replicas(record, part.tolist()) for part in chosen]
        for piece, part in zip(pieces, chosen, strict=True):
            xr.testing.assert_equal(piece.compute(), whole.sel(replica=part))
        joined = records.joined(pieces).compute()
        xr.testing.assert_equal(joined, whole)
        for name, variable in joined.data_vars.items():
            assert variable.dtype == whole[name].dtype
            assert variable.dims == whole[name].dims


def test_of_networks_only_what_all_records_have_is_joined():
    one, other = (part("c", 0).isel(replica=[k]) for k in (0, 1))
    sums = one.counts.sum("outcome")
    joined = records.joined([one.assign(sums=sums), other.drop_vars("val_loss")])
    assert list(joined.data_vars) == ["counts"]
    area = xr.DataArray([0.1, 0.2, 0.3, 0.4], dims="structure", name="area")
    assert records.joined([one, other.assign(area=area)]).area.identical(area)


# Sets of exit waves

OWN_SET = Condition(15, 1.2, 12, 1000)
SLOW_SET = Condition(15, 1.2, 12, 1000, {"energy_kev": 200.0})


def record_of_sets(contexts, tests=(OWN_SET, SLOW_SET), specimens=("gold", "silver")):
    shape = 1, len(specimens), len(tests), 2, 3
    counts = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)
    dims = "replica", "test_specimen", "test", "structure", "outcome"
    coordinates = {
        "replica": [0],
        "test_specimen": list(specimens),
        "test": [condition.id for condition in tests],
    }
    found = xr.Dataset({"counts": (dims, counts)}, coordinates)
    return found.assign_attrs(contexts=json.dumps(contexts))


def test_results_of_a_changed_set_are_made_again():
    same = {"gold": "a", "gold/en0200.00": "b", "silver": "c", "silver/en0200.00": "d"}
    whole = record_of_sets(same)
    assert records.still_valid(whole, same).sizes == whole.sizes
    changed = same | {"gold/en0200.00": "new"}
    part = records.still_valid(whole, changed)
    assert part.test.values.tolist() == [OWN_SET.id]
    assert part.test_specimen.values.tolist() == ["gold", "silver"]
    one = records.still_valid(whole, same | {"gold": "x", "gold/en0200.00": "y"})
    assert one.test_specimen.values.tolist() == ["silver"]
    assert one.test.values.tolist() == [OWN_SET.id, SLOW_SET.id]
    assert records.still_valid(whole, dict.fromkeys(same, "new")) is None


def test_results_of_the_own_set_stay_valid_without_the_other_set():
    whole = record_of_sets({"gold": "a", "gold/en0200.00": "b"}, specimens=("gold",))
    part = records.still_valid(whole, {"gold": "a"})
    assert part.test.values.tolist() == [OWN_SET.id]
    before = record_of_sets({"gold": "a"}, (OWN_SET,), ("gold",))
    after = records.still_valid(before, {"gold": "a", "gold/en0200.00": "b"})
    assert after.test.values.tolist() == [OWN_SET.id]
