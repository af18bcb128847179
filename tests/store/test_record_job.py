"""Results of networks are found in the records of earlier jobs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_files
import pytest
import xarray as xr
from synthetic import weights_metadata

from passband.grid import Condition
from passband.groups import group_name
from passband.storage import UnreachableError, records
from passband.storage.weights import Part, save_parts
from passband.store import record_job
from passband.store.record_job import RecordJob, keep_others, others

DEVICE = "cpu (AVX2)"
TEST = tuple(Condition(defocus, 1.2, 10, 100) for defocus in (5, 10, 15))
TRAIN = [Condition(defocus, 1.2, 10, 100).id for defocus in (5, 10)]
GROUP = group_name(TRAIN)


def networks(condition: str, replicas: range) -> Part:
    """Return networks of one weight, which is the number of the replica."""
    weights = {r: {"weight": np.array([r], np.float32)} for r in replicas}
    return Part(weights, weights_metadata(tuple(replicas), condition=condition))


def job_of(folder: Path, replicas=range(2), test=TEST) -> RecordJob:
    """Return a job that tests networks of two training conditions."""
    own = folder / f"cache/records/gold/net/{GROUP}/r{replicas[0]:03d}-{replicas[-1]:03d}.zarr.zip"
    parts = {condition: networks(condition, replicas) for condition in TRAIN}
    return RecordJob(own, parts, ("7",), {"gold": {"": "x"}}, under(test))


def under(test) -> dict[str, list[str]]:
    """Return the ids of the test conditions of the networks of each training condition."""
    return {train: [condition.id for condition in test] for train in TRAIN}


def record(job: RecordJob, condition: str) -> xr.Dataset:
    """Return a record of all that the job tests, as an `evaluate` job makes it."""
    replicas = list(job.parts[condition].weights)
    dims = "replica", "test_specimen", "test", "structure", "outcome"
    test = job.tests[condition]
    counts = np.ones((len(replicas), 1, len(test), 2, 3), np.uint32)
    coords = {"replica": replicas, "test_specimen": ["gold"], "test": test}
    made = xr.Dataset({"counts": (dims, counts)}, coords)
    return made.assign_attrs(contexts=json.dumps(job.contexts(condition, DEVICE)))


def write(job: RecordJob, *conditions: str) -> Path:
    """Write the record of some conditions of a job, of one beside the job's own record."""
    path = job.own
    if len(conditions) == 1:
        path = path.parents[1] / conditions[0] / path.name
    records.write({id: record(job, id) for id in conditions}, path, {"study": "test"})
    return path


def lacking(job: RecordJob) -> dict[str, set[str]]:
    """Return the ids of the conditions that the records which the job finds lack."""
    found = job.find(DEVICE, job.parts)
    return {
        condition: {id for _, id in job.lacking(condition, records_of)}
        for condition, records_of in found.items()
    }


def test_the_fuller_record_of_a_killed_job_is_found_beside_its_older_one(tmp_path):
    """The killed job has tested one of two conditions under a new test condition."""
    job, new = job_of(tmp_path), TEST[2].id
    write(replace(job, tests=under(TEST[:2])), *TRAIN)
    assert lacking(job) == {TRAIN[0]: {new}, TRAIN[1]: {new}}
    write(job, TRAIN[0])
    assert lacking(job) == {TRAIN[0]: set(), TRAIN[1]: {new}}
    write(job, TRAIN[1])
    assert lacking(job) == {TRAIN[0]: set(), TRAIN[1]: set()}


def test_a_fuller_record_of_one_replica_gives_this_replica_only(tmp_path):
    job, first = job_of(tmp_path), job_of(tmp_path, range(1))
    write(replace(job, tests=under(TEST[:2])), *TRAIN)
    write(first, TRAIN[0])
    found = job.find(DEVICE, job.parts)
    replicas = {id: [part.replica.values.tolist() for part in found[id]] for id in TRAIN}
    assert replicas == {TRAIN[0]: [[0], [1]], TRAIN[1]: [[0, 1]]}
    assert [part.sizes["test"] for part in found[TRAIN[0]]] == [3, 2]


def test_the_networks_of_an_earlier_job_are_read_once(tmp_path, monkeypatch):
    """The earlier job had further replicas, and the same conditions."""
    earlier, job = job_of(tmp_path, range(3)), job_of(tmp_path, range(1))
    write(earlier, *TRAIN)
    file = tmp_path / f"cache/networks/gold/net/{GROUP}/r000-002.safetensors"
    save_parts(earlier.parts, file, {})
    opened, real = [], record_job.load_parts

    def counted(path, **options):
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(record_job, "load_parts", counted)
    assert lacking(job) == {TRAIN[0]: set(), TRAIN[1]: set()}
    assert opened == [file]
    # Without the earlier networks, nobody knows whether they were the same.
    file.unlink()
    assert job.find(DEVICE, job.parts) == {TRAIN[0]: [], TRAIN[1]: []}


def test_records_that_cannot_be_read_now_are_not_made_again(tmp_path):
    job = job_of(tmp_path)
    write(job, *TRAIN)
    for look in (job.find, job.whole):
        given = (DEVICE, job.parts) if look == job.find else ()
        with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
            look(*given)
    assert job.whole()


WAVES = Condition(5, 1.2, 10, 100, {"energy_kev": 200.0})
SETS = {"gold": {"": "x", "en0200.00": "y"}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"tests": under(TEST[:2])}),
        ({"tests": under([*TEST, WAVES]), "splits": SETS}, {}),
    ],
    ids=["test condition", "axis with other exit waves"],
)
def test_results_that_a_study_no_longer_needs_are_kept(tmp_path, before, after):
    fuller, poorer = (replace(job_of(tmp_path), **each) for each in (before, after))
    write(fuller, *TRAIN)
    parts = {id: record(poorer, id) for id in TRAIN}
    for _ in range(2):
        assert others(poorer.own, parts)
        keep_others(poorer.own, parts)
        write(poorer, *TRAIN)
        assert not others(poorer.own, parts)
        assert lacking(fuller) == {TRAIN[0]: set(), TRAIN[1]: set()}
        assert lacking(poorer) == {TRAIN[0]: set(), TRAIN[1]: set()}
        write(fuller, *TRAIN)
    assert len(list(poorer.own.parent.iterdir())) == 2


@pytest.mark.parametrize(
    "after", [{"params": ("8",)}, {"splits": {"gold": {"": "other"}}, "tests": under(TEST[:2])}]
)
def test_results_that_are_not_valid_are_not_kept(tmp_path, after):
    job = job_of(tmp_path)
    write(job, *TRAIN)
    later = replace(job, **after)
    assert not others(job.own, {id: record(later, id) for id in TRAIN})
    assert not others(tmp_path / "none.zarr.zip", {})
