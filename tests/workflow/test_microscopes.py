"""First replicas under drawn microscopes: in records, in the table, and in parts.

The workflow's scripts run without Snakemake, with the finished study in tests/data.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scripts
from regrouped import IDS, SMALLEST, copied, counts, regrouped
from scripts import evaluate, train

from passband.answers import further_tests, merge
from passband.config import Study
from passband.learning import devices, training
from passband.learning.networks import load as load_weights
from passband.learning.replicas import TrainedReplicas
from passband.prediction.recommend.microscopes import first_replica_microscopes, number_drawn
from passband.results import Results, layout, training_jobs
from passband.results.stores import load_table
from passband.runs.counts import count as counts_of
from passband.storage import records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restored_threads")]

#: Six microscopes inside the ranges and two outside.
NUMBER = 6
DRAWN = 8


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


def test_the_table_and_parts_have_the_results(results):
    study = study_with(NUMBER)
    evaluated(study, results)
    found = drawn_counts(study, results)
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
    assert not (results / "extra").exists()
    merge.merge([str(results)], Path("results/merged"))
    (file,) = merge.pack(str(results), Path("parts"))
    merge.merge([file], Path("results/packed"))
    for name in ("merged", "packed"):
        table = load_table(Path("results") / name / layout.TABLE)
        np.testing.assert_allclose(table.microscope_dice, made.microscope_dice, atol=1 / 254)
        for id in IDS if name == "merged" else ():
            of_train = table.microscope_counts.sel(train=id).isel(specimen=0, architecture=0)
            np.testing.assert_array_equal(of_train, found[id])


def test_the_key_in_a_finished_study_runs_no_training(copied):
    """Snakemake runs the whole way from the key to the table."""
    study = copied.study(evaluation={"microscopes": NUMBER})
    jobs = copied.jobs(study=study)
    assert (jobs["evaluate"], jobs["aggregate"]) == (4, 1)
    assert not {"simulate", "train", "information"} & set(jobs)
    copied.run("results/smallest/table.zarr", study=study)
    assert not {"evaluate", "aggregate"} & set(copied.jobs(study=study))
    made = load_table(copied.folder / "results/smallest/table.zarr")
    assert made.sizes["microscope"] == DRAWN
    assert not (copied.folder / "results/smallest/extra").exists()
