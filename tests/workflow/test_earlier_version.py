"""Results of Passband 0.2 are read, and no job continues them."""

import shutil

import numpy as np
import of_0_2
import pytest
from runs import in_forks
from workplace import Workplace

from passband import cli
from passband.results.stores import load_table

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

STUDY = "study.yaml"
CONDITION = "--defocus-nm=7", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=200"


@pytest.fixture
def place(tmp_path):
    """A folder with the finished study in tests/data, which 0.2 made."""
    place = Workplace(tmp_path)
    of_0_2.unpack(tmp_path)
    (tmp_path / "studies/smallest.yaml").unlink()  # two files would have the study's name
    shutil.copy(tmp_path / STUDY, tmp_path / "studies")
    return place


def assert_refused(said: str, study: str = STUDY) -> None:
    (line,) = [line for line in said.splitlines() if "Passband 0.2" in line]
    assert line.startswith("results/smallest: was made by Passband 0.2")
    assert f"`passband run {study} --adopt`" in line
    assert "Traceback" not in said


def test_snakemake_refuses_results_of_0_2_before_it_touches_a_file(place):
    before = of_0_2.content(place.folder / "results")
    for words in (
        [],
        ["--forceall", "--dry-run", "results/smallest/table.zarr"],
        ["--delete-all-output"],
        ["--profile", "slurm"],
    ):
        assert_refused(place.run(*words, study=STUDY, fails=True))
    assert of_0_2.content(place.folder / "results") == before


@pytest.mark.parametrize(
    "words",
    [
        ["run", "smallest"],
        ["run", "smallest", "--dry-run"],
        ["run", "smallest", "--until", "simulate"],
        ["evaluate", "smallest", *CONDITION],
        ["gallery", "smallest"],
    ],
)
def test_a_command_that_would_write_results_is_refused_in_one_line(
    place, monkeypatch, capsys, words
):
    monkeypatch.chdir(place.folder)
    before = of_0_2.content(place.folder)
    assert cli.main(words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert_refused(err, "smallest")
    assert of_0_2.content(place.folder) == before


def test_commands_that_read_results_need_nothing_of_this(place, passband):
    assert "compact-w4-d2" in passband(place, "table", "smallest")
    assert "smallest" in passband(place, "status", "smallest")
    assert "report.html" in passband(place, "report", "smallest")


def test_adopt_can_be_tried_without_a_change(place, passband):
    before = of_0_2.content(place.folder)
    said = passband(place, "run", "smallest", "--adopt", "--dry-run")
    assert said == (
        "results/smallest: would take over 4 file(s) of exit waves and 8 network(s), "
        "8 of them with results\n"
    )
    assert of_0_2.content(place.folder) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["grouped.yaml"], "--adopt: results/grouped was not made by Passband 0.2; leave this out"),
        (
            ["smallest", "--set", "training.epochs=3", "--name", "other"],
            "--adopt: must be given without --set, since a new study has no results",
        ),
        (["smallest"], "results/smallest: a Snakemake has locked this study; wait for its end or,"),
    ],
)
def test_adopt_is_refused_in_one_line(place, monkeypatch, capsys, words, says):
    monkeypatch.chdir(place.folder)
    place.study("grouped.yaml", study={"name": "grouped"})
    locks = place.folder / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/smallest/table.zarr\n")
    before = of_0_2.content(place.folder)
    assert cli.main(["run", "--adopt", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(says)
    assert of_0_2.content(place.folder) == before


def test_a_study_of_0_2_with_a_damaged_file_goes_on_and_trains_nothing(
    place, passband, monkeypatch, capsys
):
    results = place.folder / "results/smallest"
    old = load_table(results / "table.zarr").load()
    damaged = results / "cache/waves/gold/val/00000.zarr.zip"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    words = "run", "smallest", "--adopt", "--cores", "2", "--no-explorer"
    in_forks(monkeypatch)
    monkeypatch.chdir(place.folder)
    assert cli.main([*words, "results/smallest/table.zarr"]) == 0
    said, noted = capsys.readouterr()
    assert "took over 3 file(s) of exit waves and 0 network(s); 8 network(s) can be" in said
    assert "took over 3 file(s) of exit waves and 8 network(s), 8 of them with results\n" in said
    (line,) = [x for x in noted.splitlines() if x.endswith("left out, and made again")]
    assert "val/00000.zarr.zip: not a whole store of exit waves" in line
    for stage in ("train", "evaluate"):
        logs = [log.read_text() for log in (results / "logs" / stage).rglob("*.log")]
        assert len(logs) == 4
        assert all("made by an earlier job" in text for text in logs)
    new = load_table(results / "table.zarr").load()
    for name in ("val_loss", "best_epoch", "counts", "dice"):
        np.testing.assert_array_equal(new[name], old[name])
    # All that 0.2 made can be read where it is now.
    assert "compact-w4-d2" in passband(place, "table", "results/smallest/0.2")
