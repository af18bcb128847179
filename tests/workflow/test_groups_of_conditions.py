"""Jobs with several training conditions, and jobs that find the results of other jobs.

The workflow's scripts run without Snakemake, with the finished study in tests/data.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from regrouped import IDS, SMALLEST, copied, counts, networks, regrouped
from scripts import evaluate, train

from passband.config import Study
from passband.imaging.acquisition import Acquisition
from passband.jobs import evaluation
from passband.learning import training
from passband.learning.deadline import StoppedError
from passband.results import layout, network_batches, wave_layout
from passband.storage import DamagedError, records
from passband.storage.weights import fingerprint, load_cells

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restored_threads")]


@pytest.fixture
def results(unpacked, tmp_path) -> Path:
    """A copy of the finished study's results, with one condition and two replicas in each job."""
    return copied(unpacked, tmp_path)


@pytest.fixture
def untrained(results) -> Path:
    """The same without a store, so that networks are trained again."""
    shutil.rmtree(results / "store")
    return results


def test_other_jobs_of_a_study_link_its_results(results):
    """Also results that an earlier version made, with one condition in each job."""
    found, tested = networks(SMALLEST, results), counts(SMALLEST, results)
    study = regrouped(3, 2)
    for batch in network_batches.batches_of(study):
        assert f"{batch.networks} network(s) in" in (line := train(study, results, batch))
        assert ", made by an earlier job, in " in line
        assert ", made by an earlier job, in " in evaluate(study, results, batch)
    assert networks(study, results) == found
    assert counts(study, results) == tested
    # The way back, after the files of the first jobs are lost.
    others = {batch.condition for batch in network_batches.batches_of(study)}
    for batch in network_batches.batches_of(SMALLEST):
        for template in (layout.WEIGHTS, layout.RECORD) * (batch.condition not in others):
            (results / batch.path(template)).unlink()
            (results / "store" / batch.path(template)).unlink(missing_ok=True)
    for batch in network_batches.batches_of(SMALLEST):
        assert ", made by an earlier job, in " in train(SMALLEST, results, batch)
        assert ", made by an earlier job, in " in evaluate(SMALLEST, results, batch)
    assert networks(SMALLEST, results) == found
    assert counts(SMALLEST, results) == tested


def test_the_history_of_a_job_names_the_condition(results):
    study = regrouped(4)
    (batch,) = network_batches.batches_of(study)
    train(study, results, batch)
    history = pd.read_csv(results / batch.path(layout.HISTORY))
    assert history.groupby(["condition", "replica"]).epoch.apply(list).to_dict() == {
        (id, replica): [0, 1] for id in IDS for replica in (0, 1)
    }


@pytest.fixture(scope="module")
def alone(unpacked, tmp_path_factory) -> tuple[Study, dict]:
    """A study whose networks are trained alone, and the fingerprints of its networks."""
    results = copied(unpacked, tmp_path_factory.mktemp("alone"))
    shutil.rmtree(results / "store")
    study = regrouped(1, training={"epochs": 1})
    for batch in network_batches.batches_of(study):
        assert "made by an earlier job" not in train(study, results, batch)
    return study, networks(study, results)


def together(study: Study) -> tuple[Study, network_batches.NetworkBatch]:
    """The same study with all conditions in one job."""
    values = study.model_dump()
    values["study"]["conditions_per_job"] = 4
    study = Study.model_validate(values)
    (batch,) = network_batches.batches_of(study)
    return study, batch


def with_tests(study: Study, defocus_nm: list[float]) -> Study:
    """The same study with other test conditions."""
    values = study.model_dump()
    values["test_grid"] = study.test_axes | {"defocus_nm": defocus_nm}
    return Study.model_validate(values)


def watched(monkeypatch, fails: dict) -> list[str]:
    """Return a list to which each training adds its condition; some conditions raise errors."""
    seen, real = [], training.train

    def run(architecture, acquisition, splits, condition, *arguments, **options):
        seen.append(condition.id)
        if error := fails.get(condition.id):
            raise error
        return real(architecture, acquisition, splits, condition, *arguments, **options)

    monkeypatch.setattr(training, "train", run)
    return seen


def test_networks_of_several_conditions_equal_those_of_single_jobs(untrained, alone, monkeypatch):
    """A condition that fails costs its own networks only, and damage those of the whole file."""
    study, batch = together(alone[0])
    fails = {IDS[1]: RuntimeError("out of luck")}
    seen = watched(monkeypatch, fails)
    with pytest.raises(SystemExit):
        train(study, untrained, batch)
    assert seen == IDS
    log = (untrained / "logs/train.log").read_text()
    assert f"1 of 4 conditions failed, and the networks of the others are kept; {IDS[1]}: " in log
    assert "out of luck" in log
    assert not (untrained / batch.path(layout.WEIGHTS)).exists()

    fails.clear()
    seen.clear()
    train(study, untrained, batch)
    assert seen == [IDS[1]]
    assert networks(study, untrained) == alone[1]
    cached = [path for path in (untrained / "store/networks").rglob("*") if path.is_file()]
    assert cached == [untrained / "store" / batch.path(layout.WEIGHTS)]

    path = untrained / "store" / batch.path(layout.WEIGHTS)
    content = bytearray(path.read_bytes())
    state = load_cells(path)[IDS[2]].weights[1]
    tensor = max(state.values(), key=lambda tensor: tensor.size)
    content[content.index(tensor.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    seen.clear()
    train(study, untrained, batch)
    assert seen == IDS
    assert networks(study, untrained) == alone[1]


def test_a_stopped_job_keeps_the_networks_of_finished_conditions(untrained, alone, monkeypatch):
    """A job with other conditions finds these networks too."""
    study, batch = together(alone[0])
    fails = {IDS[2]: StoppedError("stopped in epoch 1 of 1: the time limit")}
    seen = watched(monkeypatch, fails)
    with pytest.raises(SystemExit):
        train(study, untrained, batch)
    assert seen == IDS[:3]
    for number, other in enumerate(network_batches.batches_of(alone[0])):
        if number < 2:
            assert ", made by an earlier job, in " in train(alone[0], untrained, other)
    fails.clear()
    seen.clear()
    train(study, untrained, batch)
    assert networks(study, untrained) == alone[1]
    assert seen == IDS[2:]
    # The files that are also outputs of single jobs are kept.
    kept = sorted(path.parent.name for path in (untrained / "store/networks").rglob("r*"))
    assert kept == sorted([*IDS[:2], batch.condition])


def test_a_killed_job_continues_after_the_finished_conditions(untrained, alone, monkeypatch):
    study, batch = together(alone[0])
    (untrained / "study.json").write_text(study.model_dump_json())
    code = """
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import test_groups_of_conditions as tests
from passband.config import Study
from passband.jobs import evaluation
from passband.learning import training
results, real = Path(sys.argv[3]), training.train
study = Study.model_validate(json.loads((results / "study.json").read_text()))
def run(architecture, acquisition, splits, condition, *arguments, **options):
    if condition.id == tests.IDS[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(architecture, acquisition, splits, condition, *arguments, **options)
training.train = run
(batch,) = tests.network_batches.batches_of(study)
tests.train(study, results, batch)
"""
    folders = ROOT / "tests/workflow", ROOT / "tests/helpers"
    killed = subprocess.run([sys.executable, "-c", code, *folders, untrained], capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    seen = watched(monkeypatch, {})
    train(study, untrained, batch)
    assert seen == IDS[2:]
    assert networks(study, untrained) == alone[1]
    assert not (untrained / batch.path(layout.CHECKPOINTS)).exists()


def test_a_new_test_condition_is_tested_in_all_networks_of_a_job(results, monkeypatch):
    """Its images are formed once for the networks of all training conditions."""
    formed, real = [], Acquisition.counts

    def counted(self, split, condition, **options):
        formed.append(condition.id)
        return real(self, split, condition, **options)

    monkeypatch.setattr(Acquisition, "counts", counted)
    study = regrouped(4)
    (batch,) = network_batches.batches_of(study)
    train(study, results, batch)
    shutil.rmtree(results / "store/records")
    assert "8 network(s) on 4 conditions, 4 of them computed" in evaluate(study, results, batch)
    assert sorted(formed) == sorted(IDS)
    formed.clear()
    before = counts(study, results)
    more = with_tests(study, [5.0, 10.0, 20.0])
    assert "8 network(s) on 6 conditions, 2 of them computed" in evaluate(more, results, batch)
    assert len(formed) == len({*formed} - {*IDS}) == 2
    after = records.read_all(results / batch.path(layout.RECORD))
    kept = [condition.id for condition in study.test_conditions]
    for (id, replica), values in before.items():
        same = after[id].counts.sel(replica=replica, test=kept).values
        np.testing.assert_array_equal(same, values)


def test_a_condition_that_fails_costs_the_tests_of_its_networks_only(results, monkeypatch):
    """An older record of the job lacks the results under the new test condition."""
    study = regrouped(4)
    (batch,) = network_batches.batches_of(study)
    train(study, results, batch)
    evaluate(study, results, batch)
    seen = []
    real = evaluation.complete_record
    fails = {IDS[2]}

    def run(study, cell, found, **given):
        seen.append(cell.metadata.condition)
        if cell.metadata.condition in fails:
            raise RuntimeError("out of luck")
        real(study, cell, found, **given)

    monkeypatch.setattr(evaluation, "complete_record", run)
    more = with_tests(study, [5.0, 15.0, 20.0])
    with pytest.raises(SystemExit):
        evaluate(more, results, batch)
    assert seen == IDS
    log = (results / "logs/evaluate.log").read_text()
    assert f"1 of 4 conditions failed, and the results of the others are kept; {IDS[2]}: " in log
    formed, form = [], Acquisition.counts

    def counted(self, split, condition, **options):
        formed.append(self)
        return form(self, split, condition, **options)

    monkeypatch.setattr(Acquisition, "counts", counted)
    fails.clear()
    line = evaluate(more, results, batch)
    assert f"{len(formed)} of them computed" in line
    assert formed


@pytest.mark.parametrize("conditions", [1, 4])
def test_a_test_condition_that_comes_back_is_not_tested_again(results, conditions):
    study = regrouped(conditions)
    batch = next(network_batches.batches_of(study))
    train(study, results, batch)
    assert ", made by an earlier job, in " in evaluate(study, results, batch)
    before = records.read_all(results / batch.path(layout.RECORD))
    fewer = with_tests(study, study.test_axes["defocus_nm"][:1])
    assert ", made by an earlier job, in " in evaluate(fewer, results, batch)
    assert len(next(iter(records.read_all(results / batch.path(layout.RECORD)).values())).test) == 2
    assert ", made by an earlier job, in " in evaluate(study, results, batch)
    after = records.read_all(results / batch.path(layout.RECORD))
    for id, record in before.items():
        np.testing.assert_array_equal(record.counts, after[id].counts)


def test_a_killed_job_leaves_no_file_of_a_single_condition(results):
    """The job was killed after it had written its own record."""
    study = regrouped(4)
    (batch,) = network_batches.batches_of(study)
    train(study, results, batch)
    evaluate(study, results, batch)
    own = results / "store" / batch.path(layout.RECORD)
    cells = records.read_all(own)
    single = own.parents[1] / IDS[0] / own.name
    records.write({IDS[0]: cells[IDS[0]]}, single, {})
    assert ", made by an earlier job, in " in evaluate(study, results, batch)
    assert not single.exists()


def test_a_damaged_file_is_set_aside_in_a_job_of_several_conditions(untrained, monkeypatch):
    study, batch = together(regrouped(1, training={"epochs": 1}))
    shard = untrained / wave_layout.shards(study, "gold", "train")[0]
    watched(monkeypatch, {IDS[0]: DamagedError(shard, "not a whole store")})
    with pytest.raises(SystemExit):
        train(study, untrained, batch)
    assert "set aside as" in (untrained / "logs/train.log").read_text()
    assert not shard.exists()


def test_a_further_replica_is_the_only_one_that_is_trained(untrained, monkeypatch):
    study = regrouped(1, training={"epochs": 1})
    batch = next(network_batches.batches_of(study))
    train(study, untrained, batch)
    evaluate(study, untrained, batch)
    more = Study.model_validate(
        study.model_dump()
        | {"study": study.study.model_dump() | {"replicas": 3, "replicas_per_job": 3}}
    )
    other = next(network_batches.batches_of(more))
    assert "3 network(s) in" in train(more, untrained, other)
    trained = load_cells(untrained / other.path(layout.WEIGHTS))[IDS[0]]
    before = load_cells(untrained / batch.path(layout.WEIGHTS))[IDS[0]]
    assert fingerprint({r: trained.weights[r] for r in (0, 1)}) == fingerprint(before.weights)
    evaluate(more, untrained, other)
    record = records.read(untrained / other.path(layout.RECORD))
    assert record.replica.values.tolist() == [0, 1, 2]
    earlier = records.read(untrained / batch.path(layout.RECORD))
    np.testing.assert_array_equal(record.counts.sel(replica=[0, 1]), earlier.counts)
