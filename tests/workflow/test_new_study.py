"""`snakemake` alone runs the study in a folder that `passband new` has made."""

import subprocess
from pathlib import Path

import pytest
from workplace import SMALLEST, SNAKEMAKE, counted

import passband

FINISHED = Path(__file__).parents[1] / "data/finished_03.tar.xz"
PROFILES = Path(__file__).parents[2] / "profiles"

pytestmark = [pytest.mark.slow, pytest.mark.workflow]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of a new study, which is the finished one."""
    monkeypatch.chdir(tmp_path)
    text = SMALLEST.read_text()
    assert "\n  dpi: 80\n" in text
    Path("study.yaml").write_text(text.replace("  dpi: 80\n", "  dpi: 30\n  formats: [png]\n"))
    passband.new("smallest", like="study.yaml")
    return tmp_path / "smallest"


def test_the_command_for_a_cluster_lists_the_jobs(folder):
    status, printed = SNAKEMAKE.run(folder, "--profile", "slurm", "--dry-run", "--nocolor")
    assert status == 0, printed
    assert counted(printed)["train"] == 4
    assert "gpu=1" in printed  # which is the profile's
    assert len((folder / "Snakefile").read_text().splitlines()) == 3


@pytest.mark.parametrize("name", ["slurm-noaccounting", "perlmutter"])
def test_other_profiles_are_there_to_edit(folder, name):
    words = "--profile", f"profiles/{name}", "--dry-run", "--quiet"
    status, printed = SNAKEMAKE.run(folder, *words)
    assert status == 0, printed
    assert (folder / f"profiles/{name}/config.yaml").read_bytes() == (
        PROFILES / name / "config.yaml"
    ).read_bytes()


def test_its_jobs_are_those_of_passband_run(folder):
    """Results that the clone's workflow made are finished here, but for the pages."""
    subprocess.run(["tar", "xf", FINISHED], cwd=folder, check=True)
    status, printed = SNAKEMAKE.run(folder, "--profile", "slurm", "--dry-run", "--nocolor")
    assert status == 0, printed
    assert counted(printed) == {"report": 1, "explorer": 1}


def test_a_job_runs(folder):
    figure = "results/smallest/figures/ctf.png"
    status, printed = SNAKEMAKE.run(folder, "--cores", "1", figure)
    assert status == 0, printed
    assert (folder / figure).is_file()
