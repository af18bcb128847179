"""Tests of finished networks under conditions outside the study's test grid."""

import errno
import json
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from finished_study import small_study, write_finished, write_networks

from passband import PassbandError
from passband.answers import further_test_work, further_tests
from passband.grid import Axes, Condition
from passband.imaging.acquisition import Acquisition
from passband.jobs import evaluation as tests_of_job
from passband.learning import devices, evaluation, networks
from passband.particle_scores import NO_NUMBER
from passband.results import Results, layout, network_batches
from passband.scores import dice
from passband.storage import UnreachableError, datasets, lease, records, weights
from passband.storage.weights import CellWeights, load_cells, save_cells
from passband.store.results import ResultRecipes

pytestmark = pytest.mark.slow

CONDITIONS = [Condition(12, 5, 15, dose) for dose in (100, 400)]
IDS = [condition.id for condition in CONDITIONS]


@pytest.fixture(scope="module")
def study():
    return small_study()


@pytest.fixture(scope="module")
def made(study, tmp_path_factory):
    """A finished study with two further conditions. Tests must not change the folder."""
    results = tmp_path_factory.mktemp("made")
    write_finished(study, results)
    further_tests.evaluate_further(Results(study, results), CONDITIONS)
    return results


@pytest.fixture
def results(made, tmp_path):
    """A copy of the finished study with two further conditions, which a test may change."""
    return shutil.copytree(made, tmp_path / "results")


@pytest.fixture
def computed(monkeypatch):
    """The ids of the conditions whose images are formed."""
    seen, counts = [], Acquisition.counts

    def watch(self, split, condition, *args, **options):
        seen.append(condition.id)
        return counts(self, split, condition, *args, **options)

    monkeypatch.setattr(Acquisition, "counts", watch)
    return seen


def store(study, results, number=0):
    cell = list(network_batches.cells_of(study))[number]
    return cell, results / cell.further


def test_results_are_those_of_the_function_of_the_rule(study, made):
    found = further_tests.read_further(Results(study, made))
    assert found.dice.dims == (
        "specimen", "architecture", "train", "replica", "test_specimen", "test"
    )  # fmt: skip
    assert found.test.values.tolist() == IDS
    assert found.test_dose_e_per_A2.values.tolist() == [100, 400]
    assert not np.isnan(found.counts).any()
    assert len(np.unique(found.dice)) > 4
    np.testing.assert_allclose(found.dice, dice(found.counts.values).mean(-1), rtol=1e-6)
    device = devices.device()
    structures = {"gold": Results(study, made).structures("gold", "test").load(device)}
    for cell in network_batches.cells_of(study):
        names = {n: getattr(cell.id, n) for n in ("specimen", "architecture", "condition")}
        states, metadata = networks.load(made / cell.batch.path(layout.WEIGHTS), names)
        expected = evaluation.evaluate(
            {r: networks.restore(metadata.architecture, state) for r, state in states.items()},
            Acquisition.from_microscope(study.microscope, metadata.normalisation, device),
            structures,
            CONDITIONS,
            16,
            metadata.precision,
        )
        np.testing.assert_array_equal(
            found.counts.sel(
                specimen="gold", architecture=cell.id.architecture, train=cell.condition
            ),
            expected.counts,
        )


def test_particles_of_networks_with_a_head_are_counted_too(tmp_path):
    names = ["compact-w4-d2", "compact-w4-d2+votes"]
    study = small_study(training={"architectures": names})
    write_finished(study, tmp_path)
    results = Results(study, tmp_path)
    done = further_tests.evaluate_further(results, CONDITIONS[:1])
    assert (done.networks, done.with_particles) == (8, 4)
    assert "condition(s), 4 of them for the particles that they find; results in" in str(done)
    found = further_tests.read_further(results, ["particles"]).particles
    assert (found.sel(architecture=names[0]) == NO_NUMBER).all()
    own = found.sel(architecture=names[1], truth="faces")
    assert (own != NO_NUMBER).all()
    assert own.sel(number=["true", "cut"]).any()


def test_without_results_nothing_is_read(study, tmp_path):
    assert further_tests.read_further(Results(study, tmp_path)) is None


def test_variables_can_be_chosen(study, made):
    assert set(further_tests.read_further(Results(study, made), ["dice"]).data_vars) == {"dice"}


def test_a_second_call_computes_nothing(study, results, computed):
    times = {path: path.stat().st_mtime_ns for path in results.rglob("*.zarr.zip")}
    assert further_tests.evaluate_further(Results(study, results), CONDITIONS[::-1]).networks == 4
    assert computed == []
    assert times == {path: path.stat().st_mtime_ns for path in results.rglob("*.zarr.zip")}


def test_only_new_conditions_are_computed(study, results, computed):
    before = further_tests.read_further(Results(study, results))
    new = Condition(-3, 5, 12, 250)
    further_tests.evaluate_further(Results(study, results), [CONDITIONS[1], new])
    assert computed == [new.id]  # the networks of both training jobs share its images
    after = further_tests.read_further(Results(study, results))
    assert after.test.values.tolist() == [new.id, *IDS]
    assert after.sel(test=IDS).identical(before)


def test_networks_that_appear_meanwhile_are_not_among_those_that_were_tested(study, results):
    """Beside a study that runs, a job deletes its networks before it makes them again."""
    cell = next(network_batches.cells_of(study))
    weights = Results(study, results).weights(cell.batch)
    aside = weights.rename(weights.with_suffix(".aside"))

    def progress(cells):
        yield from cells
        aside.rename(weights)

    given = Results(study, results), [Condition(-3, 5, 12, 250)]
    assert further_tests.evaluate_further(*given, progress=progress).networks == 2
    assert further_tests.evaluate_further(*given).networks == 4


def test_networks_that_are_trained_again_lose_their_results(study, results, computed):
    cell, path = store(study, results)
    write_networks(study, results, cell, "again")
    found = further_tests.read_further(Results(study, results))
    assert np.isnan(found.dice.sel(train=cell.condition)).all()
    assert not np.isnan(found.dice.isel(train=1)).any()
    further_tests.evaluate_further(Results(study, results), CONDITIONS[:1])
    assert computed == IDS[:1]
    assert datasets.read(path, datasets.RECORD).test.values.tolist() == IDS[:1]
    found = further_tests.read_further(Results(study, results)).dice.sel(train=cell.condition)
    assert np.isnan(found.sel(test=IDS[1])).all()
    assert not np.isnan(found.sel(test=IDS[0])).any()


def test_results_of_other_structures_or_another_lens_are_not_valid(results):
    for blocks in (
        {"microscope": {"vibration_A": 0.5}},
        {"specimens": {"gold": {"diameter_nm": {"mean": 0.6, "min": 0.5, "max": 0.7}}}},
    ):
        assert further_tests.read_further(Results(small_study(**blocks), results)) is None
    assert (
        further_tests.read_further(Results(small_study(training={"epochs": 99}), results))
        is not None
    )


def test_results_of_exit_waves_that_the_study_does_not_have_are_not_valid(study, results):
    cell, path = store(study, results)
    identities = weights.identities(results / cell.batch.path(layout.WEIGHTS))[cell.condition]
    ids = [IDS[0], f"{IDS[1]}_en0200.00"]
    both = {"defocus_nm": [5], "cs_um": [1.2], "aperture_mrad": [15], "dose_e_per_A2": [1000]}
    other = small_study(test_grid=both | {"energy_kev": [200, 300]})

    def recipes(study):
        return ResultRecipes(Results(study, results), study.test_waves)

    record = records.read(path).assign_coords(test=ids)
    record["recipe"] = record.recipe.dims, recipes(other).digests(["gold"], ids)

    def valid(study):
        return recipes(study).valid(record, identities).all((0, 1)).tolist()

    assert valid(other) == [True, True]
    assert valid(study) == [True, False]
    assert valid(small_study(test_grid=both | {"energy_kev": [250]})) == [False, False]


def test_results_stay_valid_on_another_kind_of_device(study, results, computed, monkeypatch):
    monkeypatch.setattr(devices, "describe", lambda device: "another")
    further_tests.evaluate_further(Results(study, results), [*CONDITIONS, Condition(1, 1, 15, 100)])
    assert len(computed) == 1
    attrs = datasets.read(store(study, results)[1], datasets.RECORD).attrs
    assert "another" in json.loads(attrs["devices"])
    assert len(json.loads(attrs["devices"])) == 2


def test_a_damaged_store_is_set_aside_and_made_again(study, results, computed):
    before = further_tests.read_further(Results(study, results))
    lines = []
    _, path = store(study, results)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(PassbandError, match=path.name):
        further_tests.read_further(Results(study, results))
    further_tests.evaluate_further(Results(study, results), CONDITIONS, log=lines.append)
    assert computed == IDS
    assert "set aside as r000-001.further.zarr.zip.damaged" in lines[0]
    assert len(lines) == 1
    assert path.with_name(f"{path.name}.damaged").exists()
    assert further_tests.read_further(Results(study, results)).identical(before)


def test_only_finished_networks_are_tested(study, tmp_path):
    write_finished(study, tmp_path)
    cell, path = store(study, tmp_path)
    (tmp_path / cell.batch.path(layout.WEIGHTS)).unlink()
    further_tests.evaluate_further(Results(study, tmp_path), CONDITIONS)
    assert not path.exists()
    found = further_tests.read_further(Results(study, tmp_path)).dice
    assert np.isnan(found.sel(train=cell.condition)).all()
    assert not np.isnan(found.isel(train=1)).any()


def test_a_study_without_networks_is_refused(study, tmp_path):
    with pytest.raises(PassbandError, match="has no finished networks yet") as error:
        further_tests.evaluate_further(Results(study, tmp_path), CONDITIONS)
    assert "\n" not in str(error.value)


def test_damaged_networks_do_not_stop_the_others(study, tmp_path):
    write_finished(study, tmp_path)
    cell, _ = store(study, tmp_path)
    path = tmp_path / cell.batch.path(layout.WEIGHTS)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(PassbandError, match=r"not a whole file .*\(1 of 2 training jobs failed\)"):
        further_tests.evaluate_further(Results(study, tmp_path), CONDITIONS)
    assert not store(study, tmp_path, 0)[1].exists()
    assert store(study, tmp_path, 1)[1].exists()


def test_missing_exit_waves_are_named(study, tmp_path):
    write_finished(study, tmp_path)
    shutil.rmtree(tmp_path / "waves")
    with pytest.raises(PassbandError, match="waves/gold/test/00000"):
        further_tests.evaluate_further(Results(study, tmp_path), CONDITIONS)


def test_an_interruption_keeps_the_finished_jobs(study, tmp_path):
    write_finished(study, tmp_path)

    def interrupted(jobs):
        yield jobs[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        further_tests.evaluate_further(Results(study, tmp_path), CONDITIONS, progress=interrupted)
    assert store(study, tmp_path, 0)[1].exists()
    assert not store(study, tmp_path, 1)[1].exists()
    assert not (tmp_path / layout.FURTHER_LEASE).exists()


def test_a_second_process_waits_and_says_so(study, results):
    code = (
        "import sys, pathlib; from passband.storage import lease\n"
        "with lease.held(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, results / layout.FURTHER_LEASE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "held\n"
    lines = []
    thread = threading.Thread(
        target=further_tests.evaluate_further,
        args=(Results(study, results), CONDITIONS),
        kwargs={"log": lines.append},
    )
    thread.start()
    while not lines:
        assert thread.is_alive()
        time.sleep(0.01)
    assert len(lines) == 1
    assert f"waits for another job that does the same work: process {other.pid}" in lines[0]
    assert thread.is_alive()
    other.communicate()
    thread.join(60)
    assert not thread.is_alive()


def test_the_number_of_processes_follows_from_the_work(study, monkeypatch):
    cells = list(network_batches.cells_of(study))
    monkeypatch.setattr(further_test_work.os, "sched_getaffinity", lambda _: set(range(64)))

    def number(conditions):
        work = further_test_work.Work(Results(study, "unused"), tuple(map(str, range(conditions))))
        return further_test_work.number_of_processes(work, cells)

    assert number(10) == 1
    assert number(10**5) == 2  # as many as training jobs


def test_several_processes_give_the_same_results(study, made, tmp_path):
    write_finished(study, tmp_path)
    further_tests.evaluate_further(Results(study, tmp_path), CONDITIONS, processes=2)
    assert further_tests.read_further(Results(study, tmp_path)).identical(
        further_tests.read_further(Results(study, made))
    )


def test_conditions_of_the_study_can_be_tested_too(study, results):
    further_tests.evaluate_further(Results(study, results), Axes.main.conditions(study.test_axes))
    assert len(further_tests.read_further(Results(study, results), ["dice"]).test) == 4


def test_the_lease_is_given_back(study, results):
    further_tests.evaluate_further(Results(study, results), CONDITIONS)
    with lease.held(results / layout.FURTHER_LEASE, deadline=0):
        pass


# Other jobs


def regrouped(study, results, conditions, replicas):
    """Write the networks of a study in other jobs, and return the study with these jobs."""
    shutil.rmtree(results / "networks")
    jobs = {"conditions_per_job": conditions, "replicas_per_job": replicas}
    other = small_study(study=study.study.model_dump() | jobs)
    for batch in network_batches.batches_of(other):
        cells = {}
        for cell in batch.cells:
            write_networks(other, results, cell)
            cells |= load_cells(results / batch.path(layout.WEIGHTS))
        save_cells(cells, results / batch.path(layout.WEIGHTS), {})
    return other


def test_other_jobs_find_the_results_of_their_networks(study, results, computed):
    """No condition is tested again, also if the jobs are changed back."""
    before = further_tests.read_further(Results(study, results))
    other = regrouped(study, results, conditions=2, replicas=1)
    assert further_tests.read_further(Results(other, results)).identical(before)
    further_tests.evaluate_further(Results(other, results), CONDITIONS)
    assert computed == []
    assert further_tests.read_further(Results(other, results)).identical(before)
    new = Condition(-3, 5, 12, 250)
    further_tests.evaluate_further(Results(other, results), [new])
    assert computed == [new.id]
    after = further_tests.read_further(Results(other, results))
    assert after.sel(test=IDS).identical(before)
    computed.clear()
    again = regrouped(other, results, 1, 2)
    further_tests.evaluate_further(Results(again, results), [*CONDITIONS, new])
    assert computed == []
    assert further_tests.read_further(Results(again, results)).identical(after)


def test_one_network_that_is_trained_again_costs_its_own_results_only(study, results, computed):
    cell, _ = store(study, results)
    path = results / cell.batch.path(layout.WEIGHTS)
    before = load_cells(path)[cell.condition]
    write_networks(study, results, cell, "again")
    after = load_cells(path)[cell.condition]
    mixed = {0: before.weights[0], 1: after.weights[1]}
    save_cells({cell.condition: CellWeights(mixed, after.metadata)}, path, {})
    known = np.isfinite(
        further_tests.read_further(Results(study, results), ["dice"]).dice.sel(train=cell.condition)
    )
    assert known.sel(replica=0).all()
    assert not known.sel(replica=1).any()
    further_tests.evaluate_further(Results(study, results), CONDITIONS)
    assert computed == IDS
    assert np.isfinite(further_tests.read_further(Results(study, results), ["dice"]).dice).all()


def test_networks_that_cannot_be_read_now_do_not_count_as_other_networks(
    study, results, monkeypatch
):
    """The file may be intact, so its results are neither missing nor made again."""
    other = regrouped(study, results, 2, 2)

    def unreachable(path, *args, **options):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "safe_open", unreachable)
        with pytest.raises(UnreachableError, match="run again"):
            further_tests.read_further(Results(other, results))
        with pytest.raises(PassbandError, match="run again"):
            further_tests.evaluate_further(Results(other, results), CONDITIONS)
    for path in (results / "networks").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-9])
    assert further_tests.read_further(Results(other, results)) is None


def test_results_of_networks_that_are_replaced_meanwhile_are_not_valid(study, results, monkeypatch):
    """The file of networks is replaced while its old networks are tested."""
    cell, path = store(study, results)
    path.unlink()
    complete = tests_of_job.complete_record

    def replaced(study, loaded, found, **given):
        complete(study, loaded, found, **given)
        if loaded.metadata.condition == cell.condition:
            write_networks(study, results, cell, "again")

    monkeypatch.setattr(tests_of_job, "complete_record", replaced)
    further_tests.evaluate_further(Results(study, results), CONDITIONS)
    assert path.exists()
    found = further_tests.read_further(Results(study, results)).dice
    assert np.isnan(found.sel(train=cell.condition)).all()
    assert not np.isnan(found.isel(train=1)).any()


def test_a_file_of_several_conditions_is_read_once(study, tmp_path, monkeypatch):
    write_finished(study, tmp_path)
    other = regrouped(study, tmp_path, 2, 2)
    opened, real = [], further_test_work.load_cells

    def watched(path, *args, **options):
        opened.append(str(path.relative_to(tmp_path)))
        return real(path, *args, **options)

    monkeypatch.setattr(further_test_work, "load_cells", watched)
    (batch,) = network_batches.batches_of(other)
    further_tests.evaluate_further(Results(other, tmp_path), CONDITIONS)
    assert opened == [batch.path(layout.WEIGHTS)]


def test_what_has_no_results_cannot_be_read(study, made):
    with pytest.raises(ValueError, match="loss: must be counts, dice or particles"):
        further_tests.read_further(Results(study, made), ["loss"])
