"""Nothing runs that lies in a folder of results from somebody else, or beside a user's study."""

import os
import shutil
import subprocess
import sys

import pytest
from snakemake.profiles import ProfileConfigFileParser
from workplace import ROOT, SMALLEST, Workplace

from passband import cli

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

FIGURE = "results/smallest/figures/ctf.png"
# Snakemake itself imports some of these modules, and its Snakefile and jobs the others.
MODULES = "calendar", "json", "numpy", "random", "sitecustomize", "statistics", "yaml"


@pytest.fixture
def marks(tmp_path):
    """The folder in which everything that runs leaves a file with its name."""
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


def set_traps(folder, marks):
    """Put modules into a folder and its folder of Snakemake's scripts, where Python may look."""
    for place in (folder, folder / ".snakemake/scripts"):
        place.mkdir(parents=True, exist_ok=True)
        for name in MODULES:
            (place / f"{name}.py").write_text(f"open({str(marks / name)!r}, 'w').close()\n")


@pytest.fixture
def theirs(tmp_path, marks):
    """A folder with results and a study from a stranger, and with everything that might run."""
    folder = tmp_path / "theirs"
    set_traps(folder, marks)
    (folder / "studies").mkdir()
    shutil.copy(SMALLEST, folder / "studies")
    (folder / "results/smallest").mkdir(parents=True)
    for profile in ("profiles/default", "default", "slurm"):
        (folder / profile).mkdir(parents=True)
        mark = str(marks / profile.replace("/", "-"))
        (folder / profile / "config.yaml").write_text(
            f"__use_yte__: true\n__definitions__:\n- open({mark!r}, 'w').close()\nquiet: rules\n"
        )
    # A figure would need LaTeX, and compiled functions would fail.
    (folder / "matplotlibrc").write_text("text.usetex: True\ntext.latex.preamble: \\\\theirs\n")
    (folder / ".numba_config.yaml").write_text("disable_jit: 1\n")
    (folder / "workflow/rules").mkdir(parents=True)
    (folder / "workflow/rules/common.smk").touch()
    (folder / "Snakefile").write_text(f"open({str(marks / 'Snakefile')!r}, 'w').close()\n")
    return folder


def run(folder, *words, program="passband.cli", **environment):
    """Run a program as its script in the environment's folder does, without the folder first."""
    return subprocess.run(
        [sys.executable, "-P", "-m", program, *words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_a_run_in_a_strangers_folder_runs_nothing_of_it(theirs, marks):
    done = run(theirs, "run", "results/smallest", "--", FIGURE)
    assert done.returncode == 0, done.stderr
    assert (theirs / FIGURE).exists()
    assert [*marks.iterdir()] == []
    said = "./profiles/default is not loaded; if it is yours, give --profile ./profiles/default"
    assert said in done.stderr.splitlines()


def test_a_name_of_a_profile_is_passbands_and_not_the_strangers(theirs, marks):
    done = run(theirs.parent, "run", theirs / "results/smallest", "-n", SNAKEMAKE_PROFILE="slurm")
    assert done.returncode == 0, done.stderr
    assert [*marks.iterdir()] == []
    with (theirs / "slurm/config.yaml").open() as file:  # as Snakemake would
        ProfileConfigFileParser().parse(file)
    assert [path.name for path in marks.iterdir()] == ["slurm"]


def test_a_link_in_a_strangers_results_is_refused_and_nothing_behind_it_changes(theirs, tmp_path):
    (own := tmp_path / "own").mkdir()
    for name in ("mine.json", "0123456789abcdef.json"):
        (own / name).write_text("{}")
    (theirs / "results/smallest/configuration").symlink_to(own)
    done = run(theirs, "run", "results/smallest", "--", FIGURE)
    assert done.returncode == 1
    said = "results/smallest/configuration: is a link; only the study's own folder, or a folder"
    (line,) = (line for line in done.stderr.splitlines() if "is a link" in line)
    assert line.startswith(said)
    assert sorted(path.name for path in own.iterdir()) == ["0123456789abcdef.json", "mine.json"]
    assert not (theirs / "results/smallest/logs").exists()


def test_a_lock_that_is_a_pipe_does_not_stop_a_run_without_a_word(theirs, monkeypatch, capsys):
    (theirs / ".snakemake/locks").mkdir(parents=True)
    os.mkfifo(theirs / ".snakemake/locks/0.output.lock")
    monkeypatch.chdir(theirs)
    assert cli.main(["run", "results/smallest", "-n"]) == 1
    said = capsys.readouterr().err
    assert said.endswith("0.output.lock: is a pipe, a device or a socket; give a regular file\n")


def test_packages_for_snakemake_in_the_folder_are_refused(theirs, marks, monkeypatch, capsys):
    plugin = theirs / ".snakemake/pip-deployments/snakemake_logger_plugin_theirs"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text(f"open({str(marks / 'plugin')!r}, 'w').close()\n")
    monkeypatch.chdir(theirs.parent)
    assert cli.main(["run", "theirs/results/smallest", "-n"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("theirs/.snakemake/pip-deployments: ")
    assert (said.count("\n"), [*marks.iterdir()]) == (1, [])


def test_modules_beside_a_users_study_are_not_imported_by_snakemake_and_its_jobs(tmp_path, marks):
    place = Workplace(tmp_path / "own")
    set_traps(place.folder, marks)
    for name in ("Snakefile", "workflow"):  # as in a clone, and not as links to another
        (place.folder / name).unlink()
    shutil.copy(ROOT / "Snakefile", place.folder)
    shutil.copytree(ROOT / "workflow", place.folder / "workflow")
    words = "--cores", "1", FIGURE, "--configfile", "studies/smallest.yaml"
    done = run(place.folder, *words, program="snakemake")
    assert done.returncode == 0, done.stderr
    assert (place.folder / FIGURE).exists()
    assert [*marks.iterdir()] == []


def test_a_study_that_would_run_as_a_program_is_refused(tmp_path, marks, monkeypatch, capsys):
    place = Workplace(tmp_path / "own")
    (place.folder / "config.yaml").unlink()
    text = f"__use_yte__: true\n__definitions__:\n- open({str(marks / 'study')!r}, 'w').close()\n"
    (place.folder / "config.yaml").write_text(text + SMALLEST.read_text())
    assert "__use_yte__: a key must not begin with '__'" in place.run("-n", fails=True)
    monkeypatch.chdir(place.folder)
    assert cli.main(["run", "config.yaml"]) == 1
    assert "__use_yte__" in capsys.readouterr().err
    assert [*marks.iterdir()] == []
