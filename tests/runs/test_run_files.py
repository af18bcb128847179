"""A run that another process started, seen through its files."""

import os
from pathlib import Path

import pytest

from passband import cli
from passband.config import load
from passband.results import Results
from passband.runs import job_states as run_module
from passband.runs import rates, run_files
from passband.runs.job_states import Run
from passband.runs.study_jobs import jobs

NOW = 1_800_000_000.0
SMALLEST = Path(__file__).parents[1] / "data" / "smallest.yaml"
STUDY = load(SMALLEST)
TRAININGS = [job for job in jobs(STUDY) if job.rule == "train"]


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


@pytest.fixture
def run(folder):
    return Run(Results(STUDY, folder))


def look(run):
    return run.read(NOW, logs=True)


def test_times_dice_and_jobs_come_from_logs_and_histories(folder, run, monkeypatch):
    trained(folder, 0, 400, 20.0)
    trained(folder, 1, 50, 40.0)
    runs(
        folder,
        2,
        10,
        "23:59:50 started on node7, process 3\n00:01:20 epoch 3 of 4\n",
    )
    monkeypatch.setattr(run_files, "snakemake", lambda results: ("running", NOW - 300))
    look(run)
    mean = 30 + rates.START_S
    assert not run.failures
    assert run.started == NOW - 300
    assert (run.expected["train"], run.done["train"]) == (4, 2)
    assert run.seconds_of("train") == pytest.approx(mean)
    assert run.earlier == pytest.approx(mean)  # the first job was done before this run
    assert sorted(run.dice) == [0.5, 0.5, 0.6, 0.6]
    (job,) = run.running.values()
    assert job.words.startswith("train gold compact-w4-d2 r000-001, ")
    assert job.since == pytest.approx(NOW - 10 - 90)  # over midnight, by the log's own clock
    assert (job.host, job.share) == ("node7", 0.75)
    left = run.seconds_left(NOW)
    assert left is not None
    assert left > 0
    assert run.done.total() == 2


def test_a_file_is_read_once_and_again_if_the_job_ran_again(folder, run, monkeypatch):
    trained(folder, 0, 400)
    trained(folder, 1, 300)
    read = []
    monkeypatch.setattr(run_files, "tail", lambda path, *_: read.append(str(path)) or "")
    monkeypatch.setattr(run_files, "validation_dice", lambda path: read.append(str(path)) or [0.5])
    look(run)
    first = len(read)
    assert first == 4
    look(run)
    assert len(read) == first
    trained(folder, 1, 5)
    look(run)
    assert len(read) == first + 2


def test_a_display_that_draws_meanwhile_sees_what_was_read_before(folder, run, monkeypatch):
    trained(folder, 0, 400)
    look(run)
    before, seen = (run.done.total(), run.share(NOW), run.seconds_left(NOW)), []

    def read(path):
        seen.append((run.done.total(), run.share(NOW), run.seconds_left(NOW)))
        return [0.5]

    monkeypatch.setattr(run_files, "validation_dice", read)
    trained(folder, 1, 5)
    runs(folder, 2, 10, "12:00:00 started on node1, process 3\n")
    look(run)
    assert seen == [before]
    assert (run.done.total(), len(run.running)) == (2, 1)


def test_few_logs_are_read_of_a_large_study_and_histories_in_parts(folder, run, monkeypatch):
    monkeypatch.setattr(run_module, "_TIMED", 1)
    monkeypatch.setattr(run_module, "_READ", 1)
    for place, age in enumerate((40, 30, 20)):
        trained(folder, place, age, 10.0 * (place + 1))
    look(run)
    assert run.seconds_of("train") == pytest.approx(30 + rates.START_S)  # the newest
    assert run.dice == [0.7, 0.7]
    look(run)
    assert len(run.dice) == 4


def test_a_study_that_has_not_begun_has_no_time(run):
    look(run)
    assert run.started is None
    assert run.share(NOW) == 0
    assert run.seconds_left(NOW) is None
    assert run.expected.total() == len([job for job in jobs(STUDY) if job.needed])


def test_jobs_have_the_words_of_a_run(folder, run):
    for log in ("logs/simulate/gold/train/00000.log", "logs/figures/matrix.log"):
        put(folder, log, 10, "12:00:00 started on node1, process 3\n")
    assert [job.words for job in look(run).running.values()] == [
        "simulate gold train 00000",
        "figure matrix",
    ]


def test_dice_is_that_of_the_epoch_with_the_lowest_loss(tmp_path):
    history = tmp_path / "a.csv"
    history.write_text(
        "replica,epoch,val_loss,val_dice\n0,0,0.5,0.7\n0,1,0.2,0.8\n0,2,0.3,0.9\n1,0,0.1,0.6\n"
    )
    assert run_files.validation_dice(history) == [0.8, 0.6]
    assert run_files.validation_dice(tmp_path / "none.csv") == []
    history.write_text("something else\n1\n")
    assert run_files.validation_dice(history) == []


@pytest.fixture
def commands(folder, monkeypatch):
    """The folder of a study beside its file, in the working directory."""
    monkeypatch.chdir(folder.parents[1])
    (folder.parents[1] / "config.yaml").write_text(SMALLEST.read_text())
    trained(folder, 0, 400)
    return folder


@pytest.mark.parametrize("command", ["status", "report"])
@pytest.mark.parametrize("kind", ["log", "history", "link"])
def test_commands_refuse_pipes_and_links_in_one_line(commands, capsys, command, kind):
    path = commands / TRAININGS[1].log
    if kind == "history":
        path = (commands / TRAININGS[1].outputs[0]).with_suffix(".csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to(commands.parents[1] / "config.yaml")
    else:
        os.mkfifo(path)
    assert cli.main([command, "smallest"]) == 1
    said = "is a link; only" if kind == "link" else "is a pipe, a device or a socket; give"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"results/smallest/{path.relative_to(commands)}: {said}")


def test_a_lock_that_is_a_pipe_is_refused(commands, capsys):
    locks = commands.parents[1] / ".snakemake/locks"
    locks.mkdir(parents=True)
    os.mkfifo(locks / "0.output.lock")
    assert cli.main(["status", "smallest"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        ".snakemake/locks/0.output.lock: is a pipe, a device or a socket; give a regular file"
    )


@pytest.mark.parametrize("words", [["run"], ["run", "-n"], ["run", "--unlock"], ["status"]])
@pytest.mark.parametrize("name", [".snakemake", ".snakemake/locks"])
def test_a_link_in_place_of_snakemakes_folders_is_refused(commands, capsys, words, name):
    root = commands.parents[1]
    (root / "own/locks").mkdir(parents=True)
    (root / "own/locks/0.output.lock").touch()
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(root / "own")
    assert cli.main([words[0], "smallest", *words[1:]]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: is a link; only")
    assert [path.name for path in (root / "own").rglob("*")] == ["locks", "0.output.lock"]
