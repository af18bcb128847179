"""Wrong words of ``passband run``. tests/workflow/test_runs.py runs studies."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from workplace import Workplace

from passband import cli
from passband.runs import locks, workflow
from passband.storage.lease import Holder

STUDY = "studies/smallest.yaml"


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The commands that would have been run, in a folder like a clone."""
    place = Workplace(tmp_path)
    (place.folder / "wrong.yaml").write_text("trainig: {epochs: 3}\n")
    monkeypatch.chdir(place.folder)
    commands = []
    monkeypatch.setattr(workflow, "run", lambda words, folder: commands.append(words) or 0)
    return commands


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere", STUDY], "nowhere: no study of this name"),
        (["--keep-going", "nowhere"], "nowhere: no study of this name"),
        (["nowhere"], "nowhere: no study of this name"),
        (["wrong.yaml"], "wrong.yaml: trainig = {'epochs': 3}: unknown key"),
        ([STUDY, "--cores", "0"], "--cores = '0': must be a number above 0, or all"),
        ([STUDY, "--cores", "many"], "--cores = 'many': must be a number above 0, or all"),
        ([STUDY, "--profile", "none/x"], "--profile = 'none/x': must be one of"),
    ],
)
def test_a_run_is_refused_in_one_line(started, capsys, words, says):
    assert cli.main(["run", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
    assert started == []


@pytest.mark.parametrize(
    ("status", "signed", "says"),
    [
        (1, None, "Correct the cause, and run the same command again. Finished jobs do not run"),
        (137, None, "Snakemake was killed. Run the same command again: finished jobs do not run"),
        (
            1,
            "",
            "a Snakemake has locked {folder}. Wait for its end. If it has died, type: passband ",
        ),
        (1, "login2,m,7,8,,u,0", "process 7 on login2 has locked {folder}. Wait for its end. If"),
    ],
)
def test_the_last_line_says_what_helps(started, capsys, monkeypatch, status, signed, says):
    monkeypatch.setattr(workflow, "run", lambda words, folder: status)
    folder = Path.cwd()
    if signed is not None:
        (folder / ".snakemake/locks").mkdir(parents=True)
        for name in filter(None, ("0.output.lock", signed)):
            (folder / ".snakemake/locks" / name).touch()
    assert cli.main(["run", STUDY]) == status
    err = capsys.readouterr().err
    assert err.startswith(says.format(folder=folder))
    assert err.count("\n") == 1
    assert (f"passband run {STUDY} --unlock;" in err) == (signed is not None)


@pytest.mark.parametrize("name", ["", ".snakemake", "results"])
@pytest.mark.parametrize("words", [["run"], ["run", "-n"], ["gallery"]])
def test_a_folder_that_may_not_be_written_is_one_line(started, capsys, monkeypatch, words, name):
    place = Path.cwd() / name
    place.mkdir(exist_ok=True)
    access = os.access  # root may write everywhere
    refused = lambda path, mode: Path(path).resolve() != place and access(path, mode)  # noqa: E731
    monkeypatch.setattr(os, "access", refused)
    assert cli.main([*words, STUDY]) == 1
    err = capsys.readouterr().err
    assert err == f"{place}: you may not write into this folder\n"
    assert started == []


def test_the_lock_of_a_killed_snakemake_is_removed_and_named(started, capsys):
    """A dry run neither needs nor removes it."""
    (Path.cwd() / ".snakemake/locks").mkdir(parents=True)
    (Path.cwd() / ".snakemake/locks/0.output.lock").touch()
    dead = replace(Holder.this(), process="4194305")  # above Linux's largest number
    (Path.cwd() / ".snakemake/locks" / dead.file(0)).touch()
    cli.main(["run", STUDY, "-n"])
    assert locks.are_left(Path.cwd())
    assert capsys.readouterr().err == ""
    cli.main(["run", STUDY])
    assert not locks.are_left(Path.cwd())
    assert capsys.readouterr().err == f"Removed the lock that {dead} left when it died.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--foo"], "unrecognized arguments: --foo"),
        (["--", "--retries"], "argument --retries/--restart-times/-T: expected one argument"),
    ],
)
def test_a_word_that_snakemake_does_not_know_ends_with_2_and_a_line(started, capsys, words, says):
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", STUDY, *words])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"passband run: {says}; `passband run --help` lists the options, and")
    assert err.count("\n") == 1
    assert started == []


@pytest.mark.parametrize(
    "words",
    [
        [STUDY, "--keep-going", "--until", "train"],
        [STUDY, "--", "--keep-going", "--until", "train"],
        ["--cores", "all", STUDY, "--keep-going", "--", "--until", "train"],
        ["--keep-going", "--until", "train", STUDY],
        ["--keep-going", STUDY, "--until", "train", "--cores", "all"],
    ],
)
def test_other_words_go_to_snakemake(started, capsys, words):
    assert cli.main(["run", *words]) == 0
    (command,) = started
    assert command[-5:] == ["--keep-going", "--until", "train", "--configfile", STUDY]
    assert command[command.index("--cores") + 1] == "all"
    # Nothing has run, so the study is not complete.
    assert capsys.readouterr().out == (f"The study is not complete; see: passband status {STUDY}\n")


def test_a_dry_run_is_snakemakes(started, capsys):
    assert cli.main(["run", STUDY, "-n"]) == 0
    assert "--dry-run" in started[0]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("given", "letters"), [("-np", "-p"), ("-pn", "-p"), ("-knp", "-k")])
def test_a_dry_run_may_be_joined_to_other_letters(started, capsys, given, letters):
    assert cli.main(["run", STUDY, given]) == 0
    assert "--dry-run" in started[0]
    assert letters in started[0]
    assert capsys.readouterr().out == ""
