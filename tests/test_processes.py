"""What child processes import, and where caches are; see also tests/workflow/test_strangers.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import {}'], check=True)\n"


@pytest.fixture
def trapped(tmp_path):
    """A folder with a file that Python would import for its own, and that leaves a mark."""
    (tmp_path / "trapped").mkdir()
    (tmp_path / "trapped" / "random.py").write_text("open('mark', 'w').close()")
    return tmp_path / "trapped"


def run(code, folder, **environment):
    """Run a Python program in a folder."""
    program = folder / "program" / "program.py"
    program.parent.mkdir(exist_ok=True)
    program.write_text(code)
    subprocess.run([sys.executable, program], cwd=folder, env=os.environ | environment, check=True)


def test_python_itself_would_run_the_file(trapped):
    run(CHILD.format("random"), trapped)
    assert (trapped / "mark").exists()


def test_no_child_of_a_command_runs_it(trapped):
    measure = """
import sys
from passband import cli
from passband.commands import plan
from passband.runs import calibration
plan.run = lambda _: calibration._start("import random").wait()
sys.argv[1:] = ["plan"]
sys.exit(cli.main())
"""
    run(measure, trapped)
    assert not (trapped / "mark").exists()


def test_pythonpath_keeps_its_folders_and_loses_the_working_directory(trapped):
    (trapped.parent / "own").mkdir()
    (trapped.parent / "own" / "mine.py").touch()
    protect = "from passband import processes; processes.import_only_installed()\n"
    there = f"import os; os.chdir({str(trapped)!r})\n"
    given = os.pathsep.join(("", "own", os.environ.get("PYTHONPATH", "")))
    run(protect + there + CHILD.format("mine, random"), trapped.parent, PYTHONPATH=given)
    assert not (trapped / "mark").exists()


@pytest.mark.slow
def test_the_folder_does_not_choose_numbas_cache(trapped):
    (trapped / ".numba_config.yaml").write_text("cache_dir: theirs\n")
    shown = "import numba; print(numba.config.CACHE_DIR, file=open('used', 'w'))\n"
    run(shown, trapped)
    assert (trapped / "used").read_text() == "theirs\n"
    run("from passband import processes; processes.import_only_installed()\n" + shown, trapped)
    assert (trapped / "used").read_text() == "\n"


@pytest.mark.parametrize("of_a_user", [True, False])
def test_caches_are_in_a_folder_of_the_process_if_the_users_is_not_writable(
    of_a_user, tmp_path, monkeypatch
):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    (tmp_path / "file").touch()
    code = """
import os
from passband import processes
processes.cache_somewhere()
places = {os.environ.get(name, "") for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR")}
assert all(map(os.path.isdir, filter(None, places)))
(place,) = places  # the same for both
print(place, end="", file=open("places", "w"))
"""
    home = tmp_path / ("home" if of_a_user else "file")
    run(code, tmp_path, HOME=str(home))
    places = (tmp_path / "places").read_text()
    if of_a_user:
        assert places == ""
        assert list((home / ".cache").iterdir()) == []
    else:
        assert Path(places).name.startswith("passband-")
        assert not Path(places).exists()
