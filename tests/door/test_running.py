"""What Python does with a study's runs. tests/workflow/test_runs.py runs and stops one."""

import json
import signal
from pathlib import Path

import pytest
from workplace import Workplace

import passband
from passband import PassbandError
from passband.runs import child
from passband.runs.child import Ended

STUDY = "studies/smallest.yaml"


class Commands(list):
    end = Ended(0)


@pytest.fixture
def study(tmp_path, monkeypatch) -> passband.Experiment:
    monkeypatch.chdir(Workplace(tmp_path).folder)
    return passband.open(STUDY)


@pytest.fixture
def commands(study, monkeypatch) -> Commands:
    """The commands that would have been run, and how they end."""
    found = Commands()

    def run(words, folder, look=None, captured=False):
        found.append(words)
        return found.end

    monkeypatch.setattr(child, "run", run)
    return found


def test_a_run_is_the_command_and_says_whether_the_study_is_complete(study, commands):
    ran = study.run(cores=2, explorer=False, snakemake=["--keep-going"])
    assert "--keep-going" in commands[0]
    assert commands[0][commands[0].index("--cores") + 1] == "2"
    assert "--omit-from" in commands[0]
    assert not ran.complete
    assert str(ran) == f"The study is not complete; see: passband status {STUDY}"
    assert json.loads(ran.to_json()) == {
        "study": "smallest",
        "results": "results/smallest",
        "complete": False,
        "pages": [],
        "listed": None,
    }


def test_a_dry_run_returns_what_it_lists(study, commands):
    commands.end = Ended(0, "train  4\n")
    ran = study.run(dry_run=True, why=True)
    assert (str(ran), ran.complete) == ("train  4", False)
    assert {"--dry-run", "--logger-passband-why"} <= {*commands[0]}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cores": 0}, "cores = 0: must be a number above 0, or all"),
        ({"cores": "many"}, "cores = 'many': must be a number above 0, or all"),
        ({"why": True}, "why: must be given together with dry_run, which runs no job"),
        ({"profile": "none/x"}, "profile = 'none/x': must be one of"),
    ],
)
def test_a_wrong_argument_is_named_as_python_names_it(study, commands, given, says):
    with pytest.raises(PassbandError) as caught:
        study.run(**given)
    assert str(caught.value).startswith(says)
    assert commands == []


@pytest.mark.parametrize(
    ("status", "says", "exit_status"),
    [
        (1, "Correct the cause, and run the study again. Finished jobs do not run again.", 1),
        (143, "Snakemake was ended by signal 15. Run the study again to continue.", 143),
    ],
)
def test_a_run_that_failed_is_an_error(study, commands, status, says, exit_status):
    commands.end = Ended(status)
    with pytest.raises(PassbandError) as caught:
        study.run()
    assert str(caught.value) == says
    assert caught.value.exit_status == exit_status


def test_an_error_of_a_run_that_was_not_shown_says_why(study, commands):
    commands.end = Ended(1, "Building\nWorkflowError: no space\n\n")
    with pytest.raises(PassbandError, match=r"^WorkflowError: no space\. Correct the cause"):
        study.run(progress=lambda *told: None)


def test_ctrl_c_is_keyboard_interrupt(study, commands):
    commands.end = Ended(128 + signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        study.run()


def test_a_study_whose_file_has_changed_is_opened_again(study, commands):
    Path("mine.yaml").write_text(Path(STUDY).read_text().replace("name: smallest", "name: mine"))
    mine = passband.open("mine.yaml")
    mine.run()
    Path("mine.yaml").write_text(Path(STUDY).read_text().replace("name: smallest", "name: other"))
    with pytest.raises(PassbandError, match=r"^mine\.yaml: has changed since the study was opened"):
        mine.run()
    assert len(commands) == 1


def test_a_changed_study_runs_under_its_name(study, commands):
    longer = study.changed({"training.epochs": 30}, name="longer")
    assert not Path("results/longer").exists()
    longer.run()
    assert commands[0][-2:] == ["--configfile", "results/longer/study.yaml"]
    assert passband.open("longer").study.training.epochs == 30
    nameless = study.changed({"training.epochs": 30})
    assert nameless.study.training.epochs == 30
    with pytest.raises(PassbandError, match=r"^changes and name: must be given together"):
        nameless.run()


def test_results_on_request_are_made_and_returned(study, commands):
    made = study.gallery(cores=2)
    assert commands[0][-2:] == ["--", "gallery"]
    assert [str(file) for file in made.files] == [
        "results/smallest/gallery/gold.png",
        "results/smallest/gallery/gold.svg",
    ]
    assert str(made).splitlines() == [str(file) for file in made.files]
    made.files[0].parent.mkdir(parents=True)
    made.files[0].write_bytes(b"picture")
    assert made._repr_html_().count("<img") == 1
    assert json.loads(made.to_json()) == {"files": [str(file) for file in made.files]}


def test_stores_are_read_again_after_a_run(study, commands):
    vars(study).update(table="old", networks="old", ood="old")
    study.run()
    assert not {"table", "networks", "ood"} & {*vars(study)}


def test_the_status_is_text_json_and_a_face(study):
    status = study.status()
    assert not status.complete
    assert "networks    0 of 8 trained" in str(status)
    assert json.loads(status.to_json())["networks"] == {"total": 8, "trained": 0, "tested": 0}
    assert status._repr_html_().startswith("<pre>smallest")
