"""What the store of a finished study has, for jobs of other sizes."""

import shutil
from pathlib import Path

import pytest
from regrouped import regrouped

from passband.config import Study
from passband.results import Results, layout
from passband.results.network_batches import batches_of
from passband.runs.in_store import InStore
from passband.runs.study_jobs import Job

GROWN = {"study": {"structures": {"train": 24, "val": 4, "test": 4}}}


@pytest.fixture(scope="module")
def folder(archived):
    return archived / "results/smallest"


def has(study: Study, folder, rule: str) -> list[bool]:
    """Return what the store has of the networks of a study, or of their results."""
    store = InStore(Results(study, folder))
    return [store.has(Job(rule, wildcards=batch.wildcards)) for batch in batches_of(study)]


def has_waves(study: Study, folder, shards: int, waves: str = "") -> list[bool]:
    """Return which shards of training structures the store has."""
    store = InStore(Results(study, folder))
    of = {"specimen": "gold", "waves": waves, "split": "train"}
    return [
        store.has(Job("simulate", wildcards={**of, "shard": f"{shard:05d}"}))
        for shard in range(shards)
    ]


@pytest.mark.parametrize("rule", ["train", "evaluate"])
@pytest.mark.parametrize(("conditions", "replicas", "jobs"), [(1, 1, 8), (2, 2, 2), (4, 1, 2)])
def test_networks_in_other_groups_are_there(folder, rule, conditions, replicas, jobs):
    assert has(regrouped(conditions, replicas), folder, rule) == [True] * jobs


@pytest.mark.parametrize("rule", ["train", "evaluate"])
def test_other_networks_are_not_there(folder, rule):
    assert has(regrouped(1, 1, training={"epochs": 3}), folder, rule) == [False] * 8
    # One job more for each condition, of the third replica.
    more = regrouped(1, 1, study={"replicas": 3, "replicas_per_job": 1})
    assert has(more, folder, rule) == [True, True, False] * 4


def test_networks_that_were_not_tested_have_no_results(folder, tmp_path):
    shutil.copytree(folder / "store/networks", tmp_path / "store/networks")
    assert has(regrouped(1, 1), tmp_path, "train") == [True] * 8
    assert has(regrouped(1, 1), tmp_path, "evaluate") == [False] * 8


def test_exit_waves_in_other_shards_are_there(folder):
    sizes = {"study": {"structures_per_shard": 5}}
    assert has_waves(regrouped(1, **sizes), folder, 3) == [True] * 3


def test_other_exit_waves_are_not_there(folder):
    assert has_waves(regrouped(1, **GROWN), folder, 3) == [True, False, False]
    assert has_waves(regrouped(1, microscope={"field_px": 72}), folder, 2) == [False] * 2
    assert has_waves(regrouped(1), folder, 2, waves="en0200.00/") == [False] * 2


def test_damaged_files_are_not_there(folder, tmp_path):
    shutil.copytree(folder / "store", tmp_path / "store")
    for file in filter(Path.is_file, (tmp_path / "store").rglob("*")):
        file.write_bytes(b"torn")
    assert has(regrouped(1, 1), tmp_path, "train") == [False] * 8
    assert has_waves(regrouped(1), tmp_path, 2) == [False] * 2


def test_an_empty_store_and_other_rules_have_nothing(folder, tmp_path):
    study = regrouped(1, 1)
    assert has(study, tmp_path, "train") == [False] * 8
    assert has_waves(study, tmp_path, 2) == [False] * 2
    assert not InStore(Results(study, folder)).has(Job("figure", wildcards={"figure": "ctf"}))
    unknown = dict.fromkeys(layout.BATCH_WILDCARDS, "other")
    assert not InStore(Results(study, folder)).has(Job("train", wildcards=unknown))
