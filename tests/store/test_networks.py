"""Networks of earlier jobs are found, also while other jobs write theirs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_files
import pytest
from synthetic import weights_metadata

from passband.config import load, validate
from passband.results import Results, network_batches
from passband.storage import UnreachableError
from passband.storage.weights import CellWeights, load_cells, save_cells
from passband.store import files
from passband.store.networks import StoredNetworks

STUDY = load(Path(__file__).parents[1] / "data" / "smallest.yaml")
BATCH = next(network_batches.batches_of(STUDY))
FIRST, SECOND = (condition.id for condition in STUDY.train_conditions[:2])


def stored_in(folder, *replicas, conditions=(FIRST,), group=""):
    batch = f"r{replicas[0]:03d}-{replicas[-1]:03d}"
    networks = replace(
        BATCH, condition=group or FIRST, batch=batch, replicas=replicas, conditions=conditions
    )
    return StoredNetworks(Results(STUDY, folder), networks)


def cell(stored, condition, replicas, value=0, **changed):
    """Return networks that a job of the study trained."""
    given = {"recipe_digest": stored.recipes[condition].digest, "condition": condition} | changed
    states = {r: {"weight": np.full(1, value + r)} for r in replicas}
    return CellWeights(states, weights_metadata(replicas, **given))


def test_networks_that_cannot_be_read_now_are_not_trained_again(tmp_path):
    stored = stored_in(tmp_path, 0)
    save_cells({FIRST: cell(stored, FIRST, [0])}, stored.file, {})
    assert [each.weights.keys() for each in stored.find()[FIRST]]
    for look in (stored.find, stored.whole):
        with open_files.too_many(), pytest.raises(UnreachableError, match="Too many open files"):
            look()
        assert look()


@pytest.mark.parametrize("other", ["nothing", "recipe", "precision"])
def test_only_networks_that_this_study_would_train_are_found(tmp_path, other):
    """A second file has the missing replica, but is left out if it differs in `other`.

    It also has another network of the first replica, which is not needed.
    """
    changed = {"recipe": {"recipe_digest": "x"}, "precision": {"precision": "bfloat16"}}.get(
        other, {}
    )
    earlier, wanted = stored_in(tmp_path, 0), stored_in(tmp_path, 0, 1)
    save_cells({FIRST: cell(earlier, FIRST, [0], 10)}, earlier.file, {})
    later = earlier.file.with_name("r000-002.safetensors")
    save_cells({FIRST: cell(wanted, FIRST, [0, 1, 2], 20, **changed)}, later, {})
    joined = wanted.joined(wanted.find()[FIRST]).weights
    expected = {0: 10} | ({1: 21} if other == "nothing" else {})
    assert {i: int(state["weight"][0]) for i, state in joined.items()} == expected


def test_a_file_is_handed_over_as_it_is_only_if_it_has_exactly_the_networks(tmp_path):
    stored = stored_in(tmp_path, 0, 1)
    assert stored.whole() is None
    save_cells({FIRST: cell(stored, FIRST, [0, 1])}, stored.file, {})
    assert list(stored.whole()[FIRST].weights) == [0, 1]
    for replicas, changed in (([0], {}), ([0, 1, 2], {}), ([0, 1], {"recipe_digest": "x"})):
        save_cells({FIRST: cell(stored, FIRST, replicas, **changed)}, stored.file, {})
        assert stored.whole() is None


def test_a_file_of_two_conditions_gives_only_the_networks_that_are_missing(tmp_path):
    alone = stored_in(tmp_path, 0)
    both = stored_in(tmp_path, 0, conditions=(FIRST, SECOND), group=f"{FIRST}~{SECOND}~1234")
    save_cells({FIRST: cell(alone, FIRST, [0])}, alone.file, {})
    save_cells({id: cell(both, id, [0]) for id in (FIRST, SECOND)}, both.file, {})
    assert {id: len(cells) for id, cells in both.find().items()} == {FIRST: 1, SECOND: 1}
    assert {id: len(cells) for id, cells in alone.find().items()} == {FIRST: 1}


def test_a_job_makes_its_outputs_from_its_file_and_removes_those_of_its_conditions(tmp_path):
    ids = FIRST, SECOND
    stored = stored_in(tmp_path, 0, 1, conditions=ids, group=f"{FIRST}~{SECOND}~1234")
    cells = {id: cell(stored, id, [0, 1]) for id in ids}
    stored.checkpoints.mkdir(parents=True)
    stored.put_single(FIRST, cells[FIRST], {})
    single = files.of_single(stored.file, FIRST)
    assert [*load_cells(single)] == [FIRST]
    stored.put(cells, {"study": "smallest"})
    assert not single.exists()
    assert not single.parent.exists()
    assert not stored.checkpoints.exists()
    made = stored.results.weights(stored.batch)
    assert made.samefile(stored.file)
    assert [*load_cells(made)] == [FIRST, SECOND]
    assert stored.results.history(stored.batch).read_text().count("\n") == 5
    digest = load_cells(made)[SECOND].metadata.recipe_digest
    assert digest == stored.recipes[SECOND].digest


def test_seeds_of_networks_do_not_depend_on_their_job(tmp_path):
    alone, both = stored_in(tmp_path, 1), stored_in(tmp_path, 0, 1)
    assert alone.seeds(FIRST, [1])[1] == both.seeds(FIRST, [0, 1])[1]
    assert len({*both.seeds(FIRST, [0, 1]).values(), *both.seeds(SECOND, [0, 1]).values()}) == 4


def test_networks_of_other_settings_have_another_recipe(tmp_path):
    config = STUDY.model_dump(mode="json")
    config["training"]["epochs"] += 1
    other = StoredNetworks(Results(validate(config), tmp_path), BATCH)
    assert (
        other.recipes[BATCH.condition]
        != StoredNetworks(Results(STUDY, tmp_path), BATCH).recipes[BATCH.condition]
    )


def test_a_folder_that_another_job_removes_does_not_end_the_search(tmp_path, monkeypatch):
    own = tmp_path / "networks/gold/net/a~b~1234/r000-001.safetensors"
    for group in ("a", "b"):
        (own.parents[1] / group).mkdir(parents=True)
        (own.parents[1] / group / "r000-000.safetensors").touch()
    real = Path.iterdir

    def removed(folder):
        if folder.name == "a":
            raise FileNotFoundError(folder)
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", removed)
    missing = {"a": {0, 1}, "b": {0, 1}}
    found = own.parents[1] / "b/r000-000.safetensors"
    assert list(files.of_networks(own, missing)) == [own, found]
