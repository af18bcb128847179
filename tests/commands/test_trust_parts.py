"""Parts that came with somebody's results run in no command, unless the user trusts them."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx_file
import pytest
import yaml

from passband import cli
from passband.results import Results, layout
from passband.storage import datasets, metadata

ROOT = Path(__file__).parents[2]
RESULTS = "results/smallest"
NETWORK = "gold/compact-w4-d2/df+0005.00_cs+0001.200_ap016.00_ds001000.00/0"
ASKED = "--defocus-nm 12 --cs-um 1.2 --aperture-mrad 16 --dose-e-per-A2 400"

#: Parts whose import leaves a mark, so that any command that imports them is found.
PARTS = """import pathlib
from passband.parts import *

pathlib.Path({mark!r}).touch()


@figure(caption="**Mine.**", inputs=())
def mine_figure(study): ...


@metric(PAIR)
def mine_metric(pair): ...


@loss()
def mine_loss(logits, mask, settings): ...


@architecture()
def mine_architecture(): ...


@reader(suffixes=(".mine",))
def mine_reader(path): ...
"""

#: Each command that is given a study, as it is typed about somebody's results.
COMMANDS = {
    "check": f"check {RESULTS}",
    "plan": f"plan {RESULTS} --seconds 0.1",
    "preflight": f"preflight {RESULTS}",
    "parts": f"parts {RESULTS}",
    "run": f"run {RESULTS}",
    "status": f"status {RESULTS}",
    "table": f"table {RESULTS}",
    "report": f"report {RESULTS}",
    "explore": f"explore {RESULTS}",
    "evaluate": f"evaluate {RESULTS} {ASKED}",
    "images": f"images {RESULTS} {ASKED.replace('12', '5', 1)}",
    "gallery": f"gallery {RESULTS}",
    "next": f"next {RESULTS} --budget 1",
    "merge": f"merge {RESULTS} --into results/whole",
    "recommend": f"recommend {RESULTS} {ASKED}",
    "predict": f"predict {RESULTS} image.npy --network {NETWORK} --pixel-size-A 0.35",
    "publish": f"publish {RESULTS} --network {NETWORK}",
    "export": f"export {RESULTS} gold test 0 gold.extxyz",
}
#: Commands that use a study's networks, also without the study's file.
WITH_NETWORKS = "evaluate", "explore", "predict", "publish", "report"
#: Commands that are given no study.
WITHOUT = {"new", "ctf", "docs"}


@pytest.fixture
def hostile(archived, tmp_path, monkeypatch) -> Path:
    """A working directory with somebody's results, which have parts wherever they could be."""
    shutil.copytree(archived, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    np.save("image.npy", np.random.default_rng(0).poisson(30, (64, 64)))
    results = Path(RESULTS)
    digest = metadata.read_attributes(results / layout.TABLE)["config_digest"]
    text = PARTS.format(mark=str(tmp_path / "mark"))
    for folder in (
        results / layout.PARTS.format(digest=digest),
        results / "parts",
        Path("results/parts"),
        Path("parts"),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mine.py").write_text(text)
    Path("study.yaml").rename("config.yaml")
    return tmp_path / "mark"


def test_every_command_is_tried():
    every = {command.name for group in cli.COMMANDS.values() for command in group}
    assert every == COMMANDS.keys() | WITHOUT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "beside"),
    [(name, True) for name in COMMANDS] + [(name, False) for name in WITH_NETWORKS],
    ids=lambda given: {True: "beside", False: "stored"}.get(given, given),
)
@pytest.mark.usefixtures("restored_threads")
def test_no_command_runs_the_parts_of_somebodys_results(hostile, name, beside, capfd, monkeypatch):
    onnx_file.leave_out(monkeypatch)
    if not beside:
        Path("config.yaml").unlink()
    assert Results.find(RESULTS).study.known_parts.own  # so there is something to run
    cli.main(COMMANDS[name].split())
    assert "Traceback" not in "".join(capfd.readouterr())
    assert not hostile.exists()


@pytest.mark.slow
def test_running_somebodys_results_says_to_name_the_file(hostile, capsys):
    assert cli.main(["run", RESULTS]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"{RESULTS}: the study has parts of its own, whose code would run; name its file if you "
        "trust who wrote it"
    )


@pytest.mark.slow
def test_a_name_in_a_study_is_no_reason_to_run_a_module(hostile, tmp_path, monkeypatch, capsys):
    """A hostile study names a module that is there; reading the study does not import it."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "somebody.py").write_text(PARTS.format(mark=str(hostile)).replace("mine", "other"))
    monkeypatch.syspath_prepend(str(site))
    study = yaml.safe_load(Path("config.yaml").read_text())
    study["study"]["parts"] = ["somebody:other_metric"]
    Path("config.yaml").write_text(yaml.safe_dump(study))
    for command in ("parts", "table", "report", "status"):
        assert cli.main([command, RESULTS]) == 0, capsys.readouterr().err
    assert not hostile.exists()


@pytest.mark.slow
def test_changes_do_not_make_parts_of_results_run(hostile, capsys):
    assert cli.main(["check", RESULTS, "--set", "training.epochs=3"]) == 1
    assert "parts of its own" in capsys.readouterr().err
    assert not hostile.exists()


@pytest.mark.slow
def test_a_changed_study_needs_parts_of_its_own(hostile, capsys):
    words = ["run", "config.yaml", "--set", "training.epochs=3", "--name", "other"]
    assert cli.main([*words, "--dry-run"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "--name = 'other': the study has parts of its own, which would not be beside the file of "
        "the changed study; copy its file and the folder parts instead, and edit the copy"
    )
    assert not Path("results/other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["report", "status", "parts", "explore"])
def test_a_missing_part_is_named_and_the_rest_is_shown(hostile, command, capsys):
    results = Path(RESULTS)
    Path("config.yaml").unlink()
    shutil.rmtree(results / "configuration")
    for name, kind in ((layout.TABLE, datasets.TABLE), (layout.OOD, datasets.OOD)):
        stored = datasets.read(results / name, kind)
        study = json.loads(stored.attrs["configuration"])
        study["training"]["loss"] = "gone"
        attributes = stored.attrs | {"configuration": json.dumps(study)}
        datasets.write(stored.drop_encoding(), results / name, kind, attributes)
    assert cli.main([command, RESULTS]) == 0
    said = capsys.readouterr().err
    assert (
        "parts are not all here: loss 'gone': is a part of the study, and is missing here" in said
    )
