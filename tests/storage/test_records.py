"""Records of several training conditions whose networks are tested under their own condition."""

import json

import numpy as np
import pytest
import xarray as xr

from passband.storage import DamagedError, datasets, records
from passband.storage.records import OWN, with_own

TEST = ["a", "b"]
ATTRS = {"study": "test", "config_digest": "abc"}


def made(condition: str, seed: int, test_own: bool = True) -> xr.Dataset:
    """Return a record of a condition's networks, with random counts."""
    test = with_own(TEST, condition, test_own)
    counts = np.random.default_rng(seed).integers(1, 100, (2, 1, len(test), 4, 3), np.uint32)
    dims = "replica", "test_specimen", "test", "structure", "outcome"
    return xr.Dataset(
        {
            "counts": (dims, counts),
            "val_loss": ("replica", [0.5, 0.4]),
            "network": ("replica", [f"{condition}{seed}", f"{condition}1"]),
            "recipe": (dims[1:3], [[f"{condition}{id}" for id in test]]),
        },
        {"replica": [0, 1], "test_specimen": ["gold"], "test": test, "outcome": ["tp", "fp", "fn"]},
        {"devices": json.dumps([f"device {seed}"])},
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
def test_each_record_has_its_own_condition_once(tmp_path, trained, stored):
    given = {condition: made(condition, seed) for seed, condition in enumerate(trained)}
    path = tmp_path / "record.zarr.zip"
    records.write(given, path, ATTRS)
    whole = datasets.read(path, datasets.RECORD)
    assert whole.test.values.tolist() == stored
    assert json.loads(whole.devices) == [f"device {seed}" for seed in range(len(trained))]
    found = records.read_all(path)
    assert list(found) == trained
    for condition, record in found.items():
        xr.testing.assert_equal(record.compute(), given[condition])
        assert record.test.values.tolist() == with_own(TEST, condition, test_own=True)
        assert record.condition == condition
    assert records.read(path, trained[-1]).identical(found[trained[-1]])
    assert records.read(path, trained[0], ["val_loss"]).val_loss.values.tolist() == [0.5, 0.4]
    with pytest.raises(DamagedError, match="expected 'x'"):
        records.read(path, "x")


def test_records_without_own_conditions_stay_as_they_are(tmp_path):
    given = {condition: made(condition, 0, test_own=False) for condition in ("c", "d")}
    path = tmp_path / "record.zarr.zip"
    records.write(given, path, ATTRS)
    assert all(record.test.values.tolist() == TEST for record in records.read_all(path).values())
