"""Results of networks are found in the records of earlier jobs."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_files
import pytest
import xarray as xr
from synthetic import weights_metadata

from passband.config import load
from passband.groups import group_name
from passband.results import Results, network_batches
from passband.storage import NewerError, UnreachableError, integrity, records
from passband.storage.partial_record import PartialRecord
from passband.storage.weights import CellWeights
from passband.store import files
from passband.store.results import ResultRecipes, StoredResults, further

STUDY = load(Path(__file__).parents[1] / "data" / "smallest.yaml")
TEST = [condition.id for condition in STUDY.test_conditions]
SLOW = f"{TEST[0]}_en0200.00"
TRAIN = [condition.id for condition in STUDY.train_conditions[:2]]
GROUP = group_name(TRAIN)
BATCH = next(network_batches.batches_of(STUDY))


def changed(**blocks: dict):
    """Return the study with other values."""
    values = STUDY.model_dump()
    for name, block in blocks.items():
        values[name] |= block
    return type(STUDY).model_validate(values)


def networks(condition: str, replicas: range, **changes) -> CellWeights:
    """Return networks of one weight, which is the number of the replica."""
    weights = {r: {"weight": np.array([r], np.float32)} for r in replicas}
    return CellWeights(weights, weights_metadata(tuple(replicas), condition=condition, **changes))


def stored_in(
    folder: Path,
    replicas=range(2),
    test=TEST,
    conditions=TRAIN,
    study=STUDY,
    waves=("",),
    **changes,
) -> StoredResults:
    """Return what a job finds and makes that tests networks of some training conditions."""
    batch = f"r{replicas[0]:03d}-{replicas[-1]:03d}"
    own = folder / f"store/records/gold/net/{group_name(conditions)}/{batch}.zarr.zip"
    return StoredResults(
        ResultRecipes(Results(study, folder), waves),
        {id: networks(id, replicas, **changes) for id in conditions},
        {id: list(test) for id in conditions},
        own,
        own.with_name("output"),
    )


def record(stored: StoredResults, condition: str, value: int = 1) -> xr.Dataset:
    """Return a record of all that a job tests, as it makes it."""
    names = list(stored.networks[condition]), stored.recipes.specimens, stored.tests[condition]
    found = PartialRecord(*names)
    counts = np.full([*found.there.shape, 2, 3], value, np.uint32)
    dims = *records.CELL, "structure", "outcome"
    coords = dict(zip(records.CELL, names, strict=True))
    found.take(xr.Dataset({"counts": (dims, counts)}, coords), ~found.there)
    return stored.finished(condition, found)


def write(stored: StoredResults, *conditions: str, value: int = 1) -> None:
    """Write the record of some conditions of a job, of one of several beside the job's record."""
    made = {id: record(stored, id, value) for id in conditions}
    if len(conditions) < len(stored.cells):
        stored.put_single(conditions[0], made[conditions[0]], {})
    else:
        stored.put(made, {})


def lacking(stored: StoredResults) -> list[set[str]]:
    """Return the ids of the conditions whose results the store lacks, by training condition."""
    return [{id for _, id in found.missing_pairs} for found in stored.find().values()]


@pytest.mark.slow
def test_the_results_of_a_killed_job_are_found_beside_its_older_record(tmp_path):
    """The killed job has tested one of two conditions under a new test condition."""
    stored = stored_in(tmp_path)
    assert stored.whole() is None
    write(stored_in(tmp_path, test=TEST[:2]), *TRAIN)
    assert lacking(stored) == [{*TEST[2:]}, {*TEST[2:]}]
    write(stored, TRAIN[0], value=2)
    assert lacking(stored) == [set(), {*TEST[2:]}]
    write(stored, TRAIN[1])
    assert lacking(stored) == [set(), set()]
    # What was there first is not replaced, since both are the same results.
    counts = stored.find()[TRAIN[0]].as_record().counts
    assert counts.mean(["replica", "test_specimen", "structure", "outcome"]).values.tolist() == [
        1 if id in TEST[:2] else 2 for id in TEST
    ]


def test_each_replica_is_found_in_whatever_file_it_is(tmp_path):
    stored = stored_in(tmp_path, range(3))
    write(stored_in(tmp_path, range(1), conditions=TRAIN[:1]), TRAIN[0])
    write(stored_in(tmp_path, range(1, 5)), *TRAIN)
    found = stored.find()
    assert [found[id].missing for id in TRAIN] == [set(), {0}]


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({}, False),
        ({"architecture": "other"}, True),
        ({"precision": "bfloat16"}, True),
        ({"normalisation": "vacuum"}, True),
        ({"device": "cuda"}, False),
        ({"recipe_digest": "other"}, False),
        ({"study": changed(training={"epochs": 99})}, False),
        ({"study": changed(microscope={"vibration_A": 0.5})}, True),
        ({"study": changed(study={"seed": 99})}, True),
    ],
)
def test_results_are_valid_for_the_same_network_and_recipe(tmp_path, changes, lacks):
    write(stored_in(tmp_path), *TRAIN)
    later = stored_in(tmp_path, **changes)
    assert (later.whole() is None) == lacks
    assert lacking(later) == [{*TEST} if lacks else set()] * 2


def test_a_network_with_other_weights_is_tested_again(tmp_path):
    stored = stored_in(tmp_path)
    write(stored, *TRAIN)
    stored.cells[TRAIN[0]].weights[1]["weight"][0] = 7
    later = replace(stored)
    assert later.whole() is None
    assert [found.missing for found in later.find().values()] == [{1}, set()]


def test_only_the_results_of_changed_exit_waves_are_made_again(tmp_path):
    """The results of the study's own exit waves stay valid without those of the other set."""
    waves = {"test": [*TEST, SLOW], "waves": ("", "en0200.00")}
    both = stored_in(tmp_path, **waves)
    write(both, *TRAIN)
    assert lacking(stored_in(tmp_path)) == [set(), set()]
    assert lacking(both) == [set(), set()]
    assert lacking(stored_in(tmp_path, test=[*TEST, SLOW])) == [{SLOW}, {SLOW}]
    # If the study's own beam energy changes, only the own set has other exit waves.
    other = stored_in(tmp_path, study=changed(microscope={"energy_kev": 250}), **waves)
    assert [{*TEST} <= each for each in lacking(other)] == [True, True]


def test_results_on_a_new_specimen_are_lacking_alone(tmp_path):
    write(stored_in(tmp_path), *TRAIN)
    gold = STUDY.specimens["gold"].model_dump()
    more = changed(specimens={"silver": gold | {"material": "Ag", "trained": False}})
    found = stored_in(tmp_path, study=more).find()[TRAIN[0]]
    assert found.missing_pairs == [("silver", id) for id in TEST]


@pytest.mark.parametrize("conditions", [TRAIN[:1], TRAIN])
def test_the_output_is_the_jobs_file_and_has_all_that_the_job_makes(tmp_path, conditions):
    stored = stored_in(tmp_path, conditions=conditions)
    if len(conditions) > 1:
        write(stored, TRAIN[0])
        assert files.of_single(stored.file, TRAIN[0]).exists()
    made = {id: record(stored, id) for id in conditions}
    output = tmp_path / "record.zarr.zip"
    replace(stored, output=output).put(made, {"study": "smallest"})
    assert output.samefile(stored.file)
    assert list((tmp_path / "store").rglob("*.zip")) == [stored.file]
    found = stored.whole()
    assert list(found) == conditions
    for id in conditions:
        xr.testing.assert_equal(found[id], made[id])
        assert {"val_loss", "best_epoch"} <= {*found[id]}
    attrs = records.read(output, conditions[0]).attrs
    assert attrs["study"] == "smallest"
    assert stored_in(tmp_path, conditions=conditions, test=TEST[::-1]).whole() is None
    assert stored_in(tmp_path, conditions=conditions, test=TEST[1:]).whole() is None


def test_records_that_cannot_be_read_now_are_not_made_again(tmp_path):
    stored = stored_in(tmp_path)
    write(stored, *TRAIN)
    for look in (stored.find, stored.whole):
        with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
            look()
        assert look()


def test_a_record_of_a_newer_version_is_not_written_over(tmp_path, monkeypatch):
    stored = stored_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "FORMAT", integrity.FORMAT + 1)
        write(stored, *TRAIN)
    with pytest.raises(NewerError):
        stored.whole()


def test_a_damaged_record_is_made_again(tmp_path):
    stored = stored_in(tmp_path)
    write(stored, *TRAIN)
    with zipfile.ZipFile(stored.file) as archive:
        chunk = next(each for each in archive.infolist() if each.filename.startswith("counts/c"))
    content = bytearray(stored.file.read_bytes())
    content[chunk.header_offset + 30 + len(chunk.filename)] ^= 1  # the first byte of its content
    stored.file.write_bytes(content)
    assert stored.whole() is None
    assert lacking(stored) == [{*TEST}, {*TEST}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [({}, {"test": TEST[:2]}), ({"test": [*TEST, SLOW], "waves": ("", "en0200.00")}, {})],
    ids=["test condition", "axis with other exit waves"],
)
@pytest.mark.parametrize("conditions", [TRAIN[:1], TRAIN])
def test_results_that_a_study_no_longer_needs_are_kept(tmp_path, before, after, conditions):
    """They are in one further file, however often the study changes back."""
    fuller, poorer = (stored_in(tmp_path, conditions=conditions, **x) for x in (before, after))
    for _ in range(2):
        write(fuller, *conditions)
        write(poorer, *conditions)
        for stored in (fuller, poorer):
            assert lacking(stored) == [set()] * len(conditions)
    assert len(list(poorer.file.parent.glob("*.zarr.zip"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "after",
    [
        {"study": changed(microscope={"vibration_A": 0.5})},
        {"study": changed(microscope={"vibration_A": 0.5}), "test": TEST[:2]},
        {"precision": "bfloat16", "test": TEST[:2]},
    ],
)
def test_results_that_are_not_valid_are_not_kept(tmp_path, after):
    write(stored_in(tmp_path), *TRAIN)
    later = stored_in(tmp_path, **after)
    write(later, *TRAIN)
    assert list((tmp_path / "store").rglob("*.zip")) == [later.file]


def test_results_of_passband_evaluate_are_found_by_a_job(tmp_path):
    """And only files of that command count as further results."""
    results = Results(STUDY, tmp_path)
    cell = next(network_batches.cells_of(STUDY))
    alone = {"conditions": [cell.condition], "replicas": range(len(cell.batch.replicas))}
    made = replace(stored_in(tmp_path, test=TEST[1:], **alone), file=results.further(cell))
    records.write({cell.condition: record(made, cell.condition)}, made.file, {})
    of_batch = StoredResults.of_batch(results, cell.batch, made.cells)
    assert of_batch.file == tmp_path / "store" / cell.batch.path(
        "records/{specimen}/{architecture}/{condition}/{batch}.zarr.zip"
    )
    assert lacking(of_batch) == [{TEST[0]}]
    write(replace(of_batch, tests={cell.condition: TEST[:1]}), cell.condition)
    found = further(results, cell, lambda: made.networks[cell.condition], made.recipes)
    assert found.tests == sorted(TEST[1:])
    assert not found.missing
    other = further(results, cell, dict, made.recipes)
    assert other.tests == []


def test_a_job_tests_networks_under_their_own_conditions_too(tmp_path):
    own = changed(evaluation={"test_own": True}, test_grid={"defocus_nm": [7.0]})
    batch = next(network_batches.batches_of(own))
    cells = {id: networks(id, range(2)) for id in batch.conditions}
    tests = StoredResults.of_batch(Results(own, tmp_path), batch, cells).tests
    (id,) = batch.conditions
    assert tests == {id: [*(condition.id for condition in own.test_conditions), id]}


@pytest.mark.slow
def test_results_with_more_pixels_than_their_images_are_made_again(tmp_path):
    stored = stored_in(tmp_path)
    pixels = STUDY.microscope.field_px**2
    write(stored, *TRAIN, value=pixels // 3)
    assert lacking(stored) == [set(), set()]
    write(stored, *TRAIN, value=pixels // 3 + 1)
    assert lacking(stored) == [{*TEST}, {*TEST}]
    write(stored, *TRAIN, value=2**32 - 1)
    assert lacking(stored) == [{*TEST}, {*TEST}]
