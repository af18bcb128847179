"""What processes import, which settings they obey, where caches are; see also `test_strangers`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from passband import processes

PROTECT = "from passband import processes; processes.ignore_working_directory()\n"
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


@pytest.mark.slow
def test_no_child_of_a_command_runs_it(trapped):
    measure = """
import subprocess
import sys
from passband import cli
from passband.commands import plan
plan.run = lambda _: subprocess.call([sys.executable, "-c", "import random"])
sys.argv[1:] = ["plan"]
sys.exit(cli.main())
"""
    run(measure, trapped)
    assert not (trapped / "mark").exists()


#: Starts a process from Python, without a command of Passband.
STARTED = """
import sys
from pathlib import Path
from passband.runs import child
child.run([sys.executable, "-c", "import random"], Path())
"""


def test_no_child_of_a_program_runs_it_either(trapped):
    run(STARTED, trapped)
    assert not (trapped / "mark").exists()


#: The pools of `segment` and of `evaluate`, with work of their own, as in a notebook.
POOLS = {
    "segment": """
import random, sys
from passband.micrographs import batch

class Task:
    def share(self, jobs):
        pass

    def outcome(self):
        return "done"

if __name__ == "__main__":
    sys.path.insert(0, "")
    assert list(batch.outcomes([Task(), Task()], jobs=2)) == ["done", "done"]
""",
    "evaluate": """
import random, sys
from passband.answers import further_test_work

class Work:
    def compute(self, cell):
        return cell

if __name__ == "__main__":
    sys.path.insert(0, "")
    assert list(further_test_work.computed(Work(), [1, 2], processes=2)) == [1, 2]
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", POOLS)
def test_no_process_of_a_pool_runs_it(trapped, name):
    shutil.copy(trapped / "random.py", trapped / "socket.py")  # a pool imports it first
    run(POOLS[name], trapped)
    assert not (trapped / "mark").exists()


def test_a_program_keeps_its_environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "own")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = dict(os.environ)
    with processes.starting_children():
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ["PYTHONPATH"] == os.path.abspath("own")
        assert "" not in sys.path
    assert sys.path[0] == ""
    assert dict(os.environ) == before


def test_pythonpath_keeps_its_folders_and_loses_the_working_directory(trapped):
    (trapped.parent / "own").mkdir()
    (trapped.parent / "own" / "mine.py").touch()
    there = f"import os; os.chdir({str(trapped)!r})\n"
    given = os.pathsep.join(("", "own", os.environ.get("PYTHONPATH", "")))
    run(PROTECT + there + CHILD.format("mine, random"), trapped.parent, PYTHONPATH=given)
    assert not (trapped / "mark").exists()


#: What a library obeys in a folder: a file, its content, and code that prints what holds.
SETTINGS = {
    "matplotlib": (
        "matplotlibrc",
        "text.usetex: True\n",
        "import matplotlib; print(matplotlib.rcParams['text.usetex'])",
        ["True", "False"],
    ),
    "numba": (
        ".numba_config.yaml",
        "disable_jit: 1\ncache_dir: theirs\n",
        "import numba; print(numba.config.DISABLE_JIT, numba.config.CACHE_DIR); "
        "numba.config.reload_config(); print(numba.config.DISABLE_JIT, numba.config.CACHE_DIR)",
        ["1 theirs\n1 theirs", "0 \n0 "],
    ),
    "bioimageio": (
        ".env",
        "BIOIMAGEIO_ALLOW_PICKLE=true\n",
        "from bioimageio.spec._internal._settings import settings; print(settings.allow_pickle)",
        ["True", "False"],
    ),
}
IN_A_CHILD = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import passband; ' + {!r}], "
    "check=True, stdout=sys.stdout)"
)


@pytest.fixture
def theirs(tmp_path):
    """A folder of a stranger."""
    (tmp_path / "theirs").mkdir()
    return tmp_path / "theirs"


@pytest.mark.slow
@pytest.mark.parametrize("library", SETTINGS)
def test_the_folder_has_no_settings_of_libraries(theirs, library):
    name, text, shows, (obeyed, own) = SETTINGS[library]
    (theirs / name).write_text(text)
    code = f"import os, sys; sys.stdout = open('used', 'w'); {IN_A_CHILD.format(shows)}\n"
    run(code, theirs)
    assert (theirs / "used").read_text() == f"{obeyed}\n"
    run(f"{PROTECT}{code}assert os.path.samefile('.', {str(theirs)!r})\n", theirs)
    assert (theirs / "used").read_text() == f"{own}\n"


@pytest.mark.slow
def test_a_pipe_in_place_of_settings_is_not_read(theirs):
    for name in ("matplotlibrc", ".numba_config.yaml"):
        os.mkfifo(theirs / name)
    run(f"{PROTECT}import matplotlib, numba\n", theirs)


@pytest.mark.slow
def test_settings_of_the_user_do_not_change_figures_either(tmp_path):
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib/matplotlibrc").write_text("font.size: 42\n")
    shown = "import matplotlib; print(matplotlib.rcParams['font.size'], file=open('used', 'w'))\n"
    own = {"XDG_CONFIG_HOME": str(tmp_path), "MATPLOTLIBRC": str(tmp_path / "matplotlib")}
    run(shown, tmp_path, **own)
    assert (tmp_path / "used").read_text() == "42.0\n"
    run(
        "from passband import processes; processes.ignore_working_directory()\n" + shown,
        tmp_path,
        **own,
    )
    assert (tmp_path / "used").read_text() == "10.0\n"


@pytest.mark.slow
def test_a_folder_that_was_removed_has_no_settings(theirs):
    gone = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
    run(f"{PROTECT}{gone}import matplotlib, numba\n", theirs)


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
