"""First replicas under drawn microscopes: in records, in the table, in parts, and in the check.

The workflow's scripts run without Snakemake, with the finished study in tests/data.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import scripts
import xarray as xr
from regrouped import IDS, SMALLEST, copied, counts, regrouped
from scripts import evaluate, train

from passband import cli
from passband.answers import further_tests, merge, recommendation_check
from passband.config import Study
from passband.learning import devices, training
from passband.learning.networks import load as load_weights
from passband.learning.replicas import TrainedReplicas
from passband.prediction.recommend.microscopes import first_replica_microscopes, number_drawn
from passband.results import Results, layout, training_jobs
from passband.results.stores import load_table
from passband.runs.counts import count as counts_of
from passband.storage import datasets, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restored_threads")]

#: Six microscopes inside the ranges and two outside, one of them at a dose too low to be judged.
NUMBER = 6
DRAWN = 8
JUDGED = 7


@pytest.fixture
def results(unpacked, tmp_path, monkeypatch) -> Path:
    """A copy of the finished study's results in the working directory. Training is an error.

    This machine counts as the kind of device that made them; on another kind, all networks would be
    tested again.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    moved = copied(unpacked, tmp_path / "results").rename(tmp_path / "results/smallest")
    monkeypatch.setattr(training, "train", None)
    made_on = load_weights(next((moved / "networks").rglob("*.safetensors")))[1].device
    monkeypatch.setattr(devices, "describe", lambda device: made_on)
    return moved


def study_with(number: int, conditions: int = 1, replicas: int = 2, **study: int) -> Study:
    values = regrouped(conditions, replicas, evaluation={"microscopes": number}).model_dump()
    values["study"] |= study
    return Study.model_validate(values)


def evaluated(study: Study, results: Path) -> list[str]:
    """Run all `train` and `evaluate` jobs, and return the last lines of the logs of `evaluate`."""
    lines = []
    for job in training_jobs.jobs_of(study):
        assert ", made by an earlier job, in " in train(study, results, job)
        lines.append(evaluate(study, results, job))
    return lines


def aggregated(study: Study, results: Path):
    """Run the `aggregate` job, and return the table."""
    shutil.rmtree(results / layout.TABLE, ignore_errors=True)
    jobs = list(training_jobs.jobs_of(study))
    batches = {job.batch: list(job.replicas) for job in jobs}
    groups = {job.condition: list(job.conditions) for job in jobs}
    scripts.run(
        "aggregate",
        results / "logs/aggregate.log",
        input=[str(results / job.path(layout.RECORD)) for job in jobs],
        output=[str(results / layout.TABLE)],
        config=study.model_dump(mode="json"),
        params={
            "record": str(results / layout.RECORD),
            "specimens": ["gold"],
            "architectures": study.training.architectures,
            "train": study.train_axes,
            "test": study.test_axes,
            "batches": batches,
            "groups": groups,
            "allow_incomplete": False,
        },
    )
    return load_table(results / layout.TABLE)


def drawn_counts(study: Study, results: Path) -> dict[str, list]:
    """Return the counts under drawn microscopes in all records, by training condition."""
    return {
        id: record.microscope_counts.values.tolist()
        for job in training_jobs.jobs_of(study)
        for id, record in records.parts(results / job.path(layout.RECORD)).items()
        if "microscope_counts" in record
    }


def test_the_key_tests_only_the_first_replicas_under_the_new_microscopes(results):
    """Nothing is trained, and the results under the test conditions stay as they are."""
    before = counts(SMALLEST, results)
    study = study_with(NUMBER)
    for line in evaluated(study, results):
        assert f"2 network(s) on {4 + DRAWN} conditions, {DRAWN} of them computed" in line
    assert counts(study, results) == before
    ids = [condition.id for condition in first_replica_microscopes(study)]
    found = drawn_counts(study, results)
    for job in training_jobs.jobs_of(study):
        record = records.read(results / job.path(layout.RECORD))
        assert record.microscope.values.tolist() == ids
        assert record.microscope_counts.dims == (
            *("test_specimen", "microscope", "structure", "outcome"),
        )
    # The command that tests all networks has the same results.
    further_tests.evaluate_extra(Results(study, results), first_replica_microscopes(study))
    tested = further_tests.read_extra(Results(study, results)).counts.sel(replica=0, test=ids)
    for id in IDS:
        np.testing.assert_array_equal(
            tested.sel(train=id).values[0, 0], found[id], err_msg="the first replica"
        )
    # More microscopes: only the new ones are tested.
    for line in evaluated(study_with(2 * NUMBER), results):
        assert f"on {4 + 2 * DRAWN} conditions, {DRAWN} of them computed" in line
    for id, values in drawn_counts(study_with(2 * NUMBER), results).items():
        np.testing.assert_array_equal(np.array(values)[:, :NUMBER], np.array(found[id])[:, :NUMBER])
    # Without the key, the records are those of before.
    for line in evaluated(SMALLEST, results):
        assert ", made by an earlier job, in " in line
    assert drawn_counts(SMALLEST, results) == {}
    assert counts(SMALLEST, results) == before


@pytest.mark.parametrize(
    ("conditions", "replicas"), [pytest.param(3, 2, marks=pytest.mark.slow), (4, 1)]
)
def test_other_jobs_find_the_results(results, conditions, replicas):
    study = study_with(NUMBER)
    evaluated(study, results)
    found = drawn_counts(study, results)
    other = study_with(NUMBER, conditions, replicas)
    for line in evaluated(other, results):
        assert ", made by an earlier job, in " in line
    assert drawn_counts(other, results) == found
    with_drawn = [
        job.replicas
        for job in training_jobs.jobs_of(other)
        for record in records.parts(results / job.path(layout.RECORD)).values()
        if "microscope_counts" in record
    ]
    assert all(0 in numbers for numbers in with_drawn)
    made = aggregated(other, results)
    for id in IDS:
        of_train = made.microscope_counts.sel(train=id).isel(specimen=0, architecture=0)
        np.testing.assert_array_equal(of_train, found[id])


def test_a_killed_job_continues_after_the_finished_conditions(results, monkeypatch):
    """A record that is damaged is made again, for the damaged condition's file only."""
    study = study_with(NUMBER, 4)
    (job,) = training_jobs.jobs_of(study)
    train(study, results, job)
    seen, real = [], TrainedReplicas.evaluate

    def run(self, conditions, *arguments):
        if list(self.weights) == [0]:
            seen.append(self.metadata.condition)
            if seen == IDS[:3]:
                raise KeyboardInterrupt
        return real(self, conditions, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainedReplicas, "evaluate", run)
        with pytest.raises(SystemExit):
            evaluate(study, results, job)
    assert seen == IDS[:3]
    for single in list(training_jobs.jobs_of(study_with(NUMBER)))[:2]:
        assert ", made by an earlier job, in " in evaluate(study_with(NUMBER), results, single)
    assert f"8 network(s) on {4 + DRAWN} conditions" in evaluate(study, results, job)
    found = drawn_counts(study, results)
    assert list(found) == IDS
    path = results / "cache" / job.path(layout.RECORD)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    evaluate(study, results, job)
    assert drawn_counts(study, results) == found


def scores(check) -> dict:
    content = check.as_dict()
    content.pop("first_replicas")
    return content


def test_the_check_finds_the_results_in_the_table_and_in_parts(results, capsys):
    """With one replica, the scores are those of the check that tests all networks."""
    study = study_with(0, replicas=1, replicas_per_job=1)
    study = study.model_copy(update={"study": study.study.model_copy(update={"replicas": 1})})
    evaluated(study, results)
    aggregated(study, results)
    lines = []
    tested = recommendation_check.run(Results(study, results), NUMBER, log=lines.append)
    assert not tested.first_replicas
    assert lines[0].startswith(f"testing all networks under {JUDGED} microscopes")
    shutil.rmtree(results / "extra")

    block = study.evaluation.model_copy(update={"microscopes": NUMBER})
    study = study.model_copy(update={"evaluation": block})
    evaluated(study, results)
    made = aggregated(study, results)
    assert made.microscope_dice.dims == (
        *("specimen", "architecture", "train", "test_specimen", "microscope"),
    )
    drawn = first_replica_microscopes(study)
    assert len(drawn) == number_drawn(study) == DRAWN
    files = sum(path.is_file() for path in (results / layout.TABLE).rglob("*"))
    assert counts_of(study).files[layout.TABLE] == files + 1  # Snakemake writes a file too
    assert made.microscope.values.tolist() == [c.id for c in drawn]
    assert made.microscope_dose_e_per_A2.values.tolist() == [c.dose_e_per_A2 for c in drawn]
    assert "microscope" not in made.dice.dims
    found = recommendation_check.run(Results(study, results), NUMBER)
    assert found.first_replicas
    assert scores(found) == scores(tested)
    assert not (results / "extra").exists()

    # A merged folder has neither networks nor exit waves, but the spectrum of the specimen.
    merge.merge([str(results)], Path("results/merged"))
    assert cli.main(["recommend", "merged", "--check", str(NUMBER), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content.pop("first_replicas") is True
    assert content == scores(tested)
    assert cli.main(["recommend", "merged", "--check", "2"]) == 0
    assert "4 networks (the first replica of each" in capsys.readouterr().out
    # Files in eight bits.
    (file,) = merge.pack(str(results), Path("parts"), 10**6)
    merge.merge([file], Path("results/packed"))
    assert cli.main(["recommend", "packed", "--check", str(NUMBER), "--json"]) == 0
    rounded = json.loads(capsys.readouterr().out)
    assert rounded["first_replicas"] is True
    of_rounded = rounded["inside"]["rules"]["recommended"]["dice"]["value"]
    assert of_rounded == pytest.approx(tested.inside.rules["recommended"].dice.value, abs=1 / 254)
    # More microscopes than the table has.
    assert cli.main(["recommend", "merged", "--check", "9"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == (
        "the table of results lacks 4 of the 11 microscopes, so all networks are tested"
    )
    assert "results/merged: the study has no finished networks" in err.splitlines()[1]


def test_the_models_do_not_know_the_microscopes(results):
    """Other results under the microscopes change true Dice, and not the expected Dice."""
    study = study_with(NUMBER)
    evaluated(study, results)
    made = aggregated(study, results).load()
    found = recommendation_check.run(Results(study, results), NUMBER)
    assert (found.networks, found.first_replicas) == (4, True)
    worse = made.assign(microscope_dice=made.microscope_dice - 0.1).drop_encoding()
    shutil.rmtree(results / layout.TABLE)
    datasets.write(worse, results / layout.TABLE, datasets.TABLE, {})
    again = recommendation_check.run(Results(study, results), NUMBER)
    assert again.inside.half_width == found.inside.half_width
    shift = again.inside.optimism - found.inside.optimism
    assert shift == pytest.approx(0.1, abs=1e-5)


def test_each_half_of_the_structures_judges_what_the_other_half_chose(results):
    """Dice of 0 in one half changes what this half says, and no choice by the other half."""
    study = study_with(NUMBER)
    evaluated(study, results)
    made = aggregated(study, results).load()
    found = recommendation_check.run(Results(study, results), NUMBER).inside.rules
    parts = []
    for half in (0, 1):
        here = xr.DataArray(np.arange(made.sizes["structure"]) % 2 == half, dims="structure")
        nothing = xr.DataArray([0, 1, 1], dims="outcome")  # no pixel is found
        counts = made.microscope_counts.where(here, nothing)
        shutil.rmtree(results / layout.TABLE)
        changed = made.assign(microscope_counts=counts).drop_encoding()
        datasets.write(changed, results / layout.TABLE, datasets.TABLE, {})
        parts.append(recommendation_check.run(Results(study, results), NUMBER).inside.rules)
    for name in set(found) - {"tested there"}:
        sums = sum(part[name].dice.value for part in parts)
        assert sums == pytest.approx(found[name].dice.value), name


def test_the_key_in_a_finished_study_runs_no_training(copied, capsys, monkeypatch):
    """Snakemake runs the whole way from the key to the check of the table."""
    study = copied.study(evaluation={"microscopes": NUMBER})
    jobs = copied.jobs(study=study)
    assert (jobs["evaluate"], jobs["aggregate"]) == (4, 1)
    assert not {"simulate", "train", "information"} & set(jobs)
    copied.run("results/smallest/table.zarr", study=study)
    assert not {"evaluate", "aggregate"} & set(copied.jobs(study=study))
    monkeypatch.chdir(copied.folder)
    assert cli.main(["recommend", study, "--check", str(NUMBER), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["first_replicas"] is True
    assert not Path("results/smallest/extra").exists()
