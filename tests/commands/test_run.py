"""Wrong words of ``passband run``. tests/workflow/test_runs.py runs studies."""

import pytest
from workplace import Workplace

from passband import cli
from passband.jobs import workflow

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
