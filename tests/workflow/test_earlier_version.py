"""Results of Passband 0.2 are read, and no job continues them."""

import shutil
import subprocess
import sys

import of_0_2
import pytest
from workplace import Workplace

from passband import cli

pytestmark = pytest.mark.workflow

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


@pytest.mark.slow
def test_snakemake_refuses_results_of_0_2_before_it_touches_a_file(place):
    before = of_0_2.content(place.folder / "results")
    words = [
        [],
        ["--dry-run"],
        ["--forceall"],
        ["results/smallest/table.zarr"],
        ["--delete-all-output"],
    ]
    for each in words:
        assert_refused(place.run(*each, study=STUDY, fails=True))
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", STUDY],
        cwd=place.folder,
        env=None,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert_refused(run.stdout + run.stderr)
    assert of_0_2.content(place.folder / "results") == before


@pytest.mark.parametrize(
    "words",
    [
        ["run", "smallest"],
        ["run", "smallest", "--dry-run"],
        ["run", "smallest", "--until", "simulate"],
        ["evaluate", "smallest", *CONDITION],
        ["distances", "smallest"],
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


@pytest.mark.slow
def test_commands_that_read_results_need_nothing_of_this(place, passband):
    assert "compact-w4-d2" in passband(place, "table", "smallest")
    assert "smallest" in passband(place, "status", "smallest")
    assert "report.html" in passband(place, "report", "smallest")
