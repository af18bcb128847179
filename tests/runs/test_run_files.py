"""A run that another process started, seen through its files."""

import os
from pathlib import Path

import pytest

from passband.config import load
from passband.results import Results
from passband.runs import rates, run_files, status, tasks
from passband.runs.run_files import Followed, in_words

NOW = 1_800_000_000.0
STUDY = load(Path(__file__).parents[2] / "studies" / "smallest.yaml")
TRAININGS = [task for task in tasks.tasks(STUDY) if task.rule == "train"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results" / "smallest"


def put(folder, name, age, text=""):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - age,) * 2)


def trained(folder, place, age, seconds=30.0):
    task = TRAININGS[place]
    for output in task.outputs:
        put(folder, output, age)
    history = Path(task.outputs[0]).with_suffix(".csv")
    rows = "".join(f"{replica},0,0.5,0.{place + 5}\n" for replica in (0, 1))
    put(folder, history, age, f"replica,epoch,val_loss,val_dice\n{rows}")
    line = f"12:00:30 train x: 2 network(s) in y in {seconds:.1f} s\n"
    put(folder, task.log, age, f"12:00:00 started on node1, process 3\n{line}")


def runs(folder, place, age, text):
    put(folder, TRAININGS[place].log, age, text)


def look(folder, **values):
    from dataclasses import replace

    return replace(status.scan(Results(STUDY, folder), NOW), **values)


def test_times_dice_and_jobs_come_from_logs_and_histories(folder):
    trained(folder, 0, 400, 20.0)
    trained(folder, 1, 50, 40.0)
    runs(
        folder,
        2,
        10,
        "23:59:50 started on node7, process 3\n00:01:20 replica 0: val_loss 0.5, Dice 0.7\n",
    )
    one = Followed(STUDY)
    assert one.update(look(folder, snakemake="running", since=NOW - 300)) == []
    progress, mean = one.progress, 30 + rates.START_S
    assert progress.started == NOW - 300
    assert (progress.rules["train"].total, progress.rules["train"].done) == (4, 2)
    assert progress.seconds_of("train") == pytest.approx(mean)
    assert progress.earlier == pytest.approx(mean)  # the first job was done before this run
    assert sorted(progress.dice) == [0.5, 0.5, 0.6, 0.6]
    (job,) = progress.running.values()
    assert job.name.startswith("train gold compact-w4-d2 r000-001, ")
    assert job.since == pytest.approx(NOW - 10 - 90)  # over midnight, by the log's own clock
    left = progress.seconds_left(NOW)
    assert left is not None
    assert left > 0
    assert progress.done == 2


def test_a_file_is_read_once_and_again_if_the_job_ran_again(folder, monkeypatch):
    trained(folder, 0, 400)
    trained(folder, 1, 300)
    read = []
    monkeypatch.setattr(run_files, "tail", lambda path, *_: read.append(str(path)) or "")
    monkeypatch.setattr(run_files, "validation_dice", lambda path: read.append(str(path)) or [0.5])
    one = Followed(STUDY)
    one.update(look(folder))
    first = len(read)
    assert first == 4
    one.update(look(folder))
    assert len(read) == first
    trained(folder, 1, 5)
    one.update(look(folder))
    assert len(read) == first + 2


def test_few_logs_are_read_of_a_large_study_and_histories_in_parts(folder, monkeypatch):
    monkeypatch.setattr(run_files, "_TIMED", 1)
    monkeypatch.setattr(run_files, "_READ", 1)
    for place, age in enumerate((40, 30, 20)):
        trained(folder, place, age, 10.0 * (place + 1))
    one = Followed(STUDY)
    one.update(look(folder))
    assert one.progress.seconds_of("train") == pytest.approx(30 + rates.START_S)  # the newest
    assert one.progress.dice == [0.7, 0.7]
    one.update(look(folder))
    assert len(one.progress.dice) == 4


def test_failures_are_new_once_and_again_after_another_attempt(folder):
    fails = "12:00:00 started on node1, process 3\n12:00:01 error: train x: no\n"
    runs(folder, 0, 100, fails)
    one = Followed(STUDY)
    (job,) = one.update(look(folder))
    assert job.log.endswith(TRAININGS[0].log)
    assert one.progress.failed == 1
    assert one.update(look(folder)) == []
    runs(folder, 0, 10, fails * 2)
    assert len(one.update(look(folder))) == 1


def test_a_study_that_has_not_begun_has_no_time(folder):
    one = Followed(STUDY)
    one.update(look(folder))
    assert one.progress.started is None
    assert one.progress.share(NOW) == 0
    assert one.progress.seconds_left(NOW) is None
    needed = [task for task in tasks.tasks(STUDY) if task.needed]
    assert one.progress.total == len(needed)


def test_jobs_have_the_words_of_a_run(folder):
    for log in ("logs/simulate/gold/train/00000.log", "logs/figures/matrix.log"):
        put(folder, log, 10, "12:00:00 started on node1, process 3\n")
    jobs = [job for job in look(folder).jobs if job.state == "running"]
    assert [in_words(job, Results(STUDY, folder)) for job in jobs] == [
        "simulate gold train 00000",
        "figure matrix",
    ]
