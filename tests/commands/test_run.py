"""Wrong words of ``passband run``. tests/workflow/test_runs.py runs studies."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from workplace import Workplace

from passband import cli
from passband.commands import run
from passband.config import load
from passband.reports import study_summary
from passband.results import Results
from passband.runs import child, locks
from passband.runs.child import Ended
from passband.runs.ended import Ran
from passband.storage.lease import Holder

STUDY = "studies/smallest.yaml"


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The commands that would have been run, in a folder like a clone."""
    place = Workplace(tmp_path)
    (place.folder / "wrong.yaml").write_text("trainig: {epochs: 3}\n")
    monkeypatch.chdir(place.folder)
    commands = []
    monkeypatch.setattr(child, "run", lambda words, *_, **__: commands.append(words) or Ended(0))
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
        ([STUDY, "--why"], "--why: must be given together with --dry-run"),
    ],
)
def test_a_run_is_refused_in_one_line(started, capsys, words, says):
    assert cli.main(["run", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
    assert started == []


def test_only_a_dry_run_that_is_asked_says_why(started):
    for words, says in (([], False), (["--dry-run"], False), (["-n", "--why"], True)):
        assert cli.main(["run", STUDY, *words]) == 0
        assert ("--logger-passband-why" in started.pop()) == says


@pytest.mark.parametrize(
    ("status", "signed", "says"),
    [
        (1, None, "Correct the cause, and run the study again. Finished jobs do not run"),
        (137, None, "Snakemake was killed. Run the study again: finished jobs do not run"),
        (
            1,
            "",
            "a Snakemake has locked {folder}. Wait for its end. If it has died, type: passband ",
        ),
        (1, "login2,m,7,8,,u,0", "process 7 on login2 has locked {folder}. Wait for its end. If"),
        (1, "\x1b[2Jx,m,7,8,,u,0", "process 7 on \\x1b[2Jx has locked {folder}. Wait for its end."),
    ],
)
def test_the_last_line_says_what_helps(started, capsys, monkeypatch, status, signed, says):
    monkeypatch.setattr(child, "run", lambda *_, **__: Ended(status))
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
        (["--\x1b[2J"], "unrecognized arguments: --\\x1b[2J"),
        (["--", "--retries"], "argument --retries/--restart-times/-T: expected one argument"),
    ],
)
def test_a_word_that_snakemake_does_not_know_ends_with_2_and_a_line(started, capsys, words, says):
    assert cli.main(["run", STUDY, *words]) == 2
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


@pytest.mark.parametrize(
    ("variables", "path", "hints"),
    [
        ({}, "there", True),
        ({}, "linked", False),  # as pipx does
        ({"VIRTUAL_ENV": "env"}, "env/bin", False),
        ({"VIRTUAL_ENV": "there"}, "there", True),
        ({"MAKELEVEL": "1"}, "env/bin", True),
        ({"MAKELEVEL": "1", "VIRTUAL_ENV": "there"}, "env/bin", True),
        ({"MAKELEVEL": "1", "VIRTUAL_ENV": "env"}, "env/bin", False),
    ],
)
def test_an_environment_that_is_active_need_not_be_activated(
    tmp_path, monkeypatch, variables, path, hints
):
    for folder in ("env/bin", "there", "linked"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("env/bin", "there"):
        (tmp_path / folder / "passband").touch(0o755)
    (tmp_path / "linked/passband").symlink_to(tmp_path / "env/bin/passband")
    for name in ("VIRTUAL_ENV", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value) if name == "VIRTUAL_ENV" else value)
    monkeypatch.setenv("PATH", str(tmp_path / path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.chdir(tmp_path)
    lines = ["Then type, for example:", *(["  source env/bin/activate"] if hints else [])]
    assert run._next("mine") == "\n".join([*lines, "  passband table mine --csv mine.csv"])


def test_the_end_names_both_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(study_summary.Summary, "ood", "| the | table |")
    monkeypatch.setattr(Ran, "complete", True)
    monkeypatch.chdir(tmp_path)
    ran = Ran(Results(None, "results/mine"))
    first = "| the | table |\n\nOpen results/mine/report.html in a browser."
    assert str(ran) == first
    page = tmp_path / "results/mine/explorer.html"
    page.parent.mkdir(parents=True)
    page.touch()
    second = "A page for each cell of the matrix is results/mine/explorer.html."
    assert str(ran) == f"{first}\n{second}"


@pytest.mark.parametrize("further", [[], ["--", "results/smallest/table.zarr"]])
def test_the_explorer_can_be_left_out(started, further):
    assert cli.main(["run", STUDY, "--no-explorer", *further]) == 0
    place = started[0].index("--omit-from")
    assert started[0][place : place + 3] == ["--omit-from", "explorer", "--configfile"]
    assert cli.main(["run", STUDY]) == 0
    assert "--omit-from" not in started[1]
    for until in (["--until", "train"], ["--until=train"]):  # which makes no explorer
        assert cli.main(["run", STUDY, "--no-explorer", *until]) == 0
        assert "--omit-from" not in started[-1]


# A changed study

CHANGED = ["--set", "training.epochs=3", "--name", "quick"]
STORED = "results/quick/study.yaml"


def test_a_changed_study_has_a_new_name_and_keeps_its_file_with_its_results(started, capsys):
    assert cli.main(["run", *CHANGED, STUDY]) == 0
    assert started[0][-2:] == ["--configfile", STORED]
    expected = load(STUDY, ["training.epochs=3", "study.name=quick"])
    assert load(STORED).written() == expected.written()
    assert load(STUDY).training.epochs != 3
    assert "see: passband status quick" in capsys.readouterr().out
    assert cli.main(["run", "quick"]) == 0
    assert started[1] == started[0]
    for noun in ("quick", "results/quick"):
        assert Results.find(noun).study == expected
    stored = Path(STORED).read_bytes()
    assert cli.main(["run", *CHANGED, STUDY]) == 1  # also if only its file is there
    says = "--name = 'quick': there is already a study of this name, or results/quick; give another"
    assert capsys.readouterr().err.startswith(says)
    assert Path(STORED).read_bytes() == stored
    assert len(started) == 2


def test_files_of_a_changed_study_are_found_from_the_folder_of_its_results(started):
    Path("mine").mkdir()
    Path("mine/points.csv").write_text(
        "defocus_nm,cs_um,aperture_mrad,dose_e_per_A2\n5,1.2,16,200\n9,1.2,16,200\n"
    )
    atoms = ["4", 'Lattice="4.08 0 0 0 4.08 0 0 0 4.08" pbc="T T T"', "Au 0 0 0"]
    atoms += ["Au 0 2.04 2.04", "Au 2.04 0 2.04", "Au 2.04 2.04 0", ""]
    Path("mine/gold.xyz").write_text("\n".join(atoms))
    Path("mine/config.yaml").write_text(
        "study: {name: mine}\ngrid: {points: points.csv}\n"
        "specimens: {gold: {material: gold.xyz, shape: sphere}}\n"
    )
    assert cli.main(["run", "mine", *CHANGED]) == 0
    before, after = load("mine/config.yaml"), load(STORED)
    assert after.train_conditions == before.train_conditions
    assert after.specimens["gold"].file.samefile("mine/gold.xyz")


def test_a_dry_run_of_a_changed_study_leaves_nothing(started, monkeypatch):
    epochs = []

    def run(words, folder, **_):
        epochs.append(load(folder / words[-1]).training.epochs)
        return Ended(0)

    monkeypatch.setattr(child, "run", run)
    assert cli.main(["run", STUDY, "-n", *CHANGED]) == 0
    assert epochs == [3]
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            [*CHANGED[:2], "--dry-run"],
            "--set and --name: must be given together; the changed study",
        ),
        (CHANGED[:2], "--set and --name: must be given together; the changed study has a name of"),
        (CHANGED[2:], "--set and --name: must be given together; the changed study has a name of"),
        ([*CHANGED[:3], "a b"], f"{STUDY} with --set: study.name = 'a b': must be 1 to 40 letters"),
        ([*CHANGED[:3], "pilot"], "--name = 'pilot': there is already a study of this name, or r"),
        (["--set", "study.name=x", *CHANGED[2:]], "--set = 'study.name=x': --name = 'quick' is th"),
        ([*CHANGED, "--profile", "none/x"], "--profile = 'none/x': must be one of"),
        ([*CHANGED, "--cores", "0"], "--cores = '0': must be a number above 0, or all"),
        (
            ["--set", "training.epochs=x", *CHANGED[2:]],
            f"{STUDY} with --set: training.epochs = 'x'",
        ),
    ],
)
def test_a_wrong_changed_study_is_one_line(started, capsys, words, says):
    assert cli.main(["run", STUDY, *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
    assert started == []
    assert not Path("results").exists()


@pytest.mark.parametrize("words", [CHANGED, [*CHANGED, "-n"]])
def test_any_file_or_folder_takes_a_name(started, capsys, words):
    Path("results").mkdir()
    Path("results/quick").symlink_to("nowhere")
    assert cli.main(["run", STUDY, *words]) == 1
    assert capsys.readouterr().err.startswith("--name = 'quick': there is already a study")
    assert started == []


def test_a_changed_study_that_cannot_be_written_leaves_nothing(started, capsys, monkeypatch):
    def fail(path, text, **options):
        path.touch()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", fail)
    assert cli.main(["run", STUDY, *CHANGED]) == 1
    assert capsys.readouterr().err == f"{STORED}: No space left on device\n"
    assert started == []
    assert not Path("results/quick").exists()


def test_the_last_line_of_a_changed_study_names_what_goes_on_with_it(started, capsys, monkeypatch):
    monkeypatch.setattr(child, "run", lambda *_, **__: Ended(1))
    assert cli.main(["run", STUDY, *CHANGED]) == 1
    says = "Correct the cause, and run `passband run quick`. Finished jobs do not run again."
    assert capsys.readouterr().err == f"{says}\n"
