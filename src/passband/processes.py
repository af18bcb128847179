"""What the processes that Passband starts import, which settings they obey, where caches are."""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

#: The modules that read settings from the working directory when they are imported: the files
#: matplotlibrc, .numba_config.yaml and .env.
_READERS = ("matplotlib", "numba.core.config", "bioimageio.spec._internal._settings")
#: The folder in which they are imported instead. It has the settings of matplotlib, so that those
#: of the user do not change figures either.
_SETTINGS = Path(__file__).with_name("settings")


def ignore_working_directory() -> None:
    """Let this process and all that it starts neither import nor obey files in their folder.

    Python would look there first: in a folder of results from somebody else, and for a file
    ``random.py`` that a user keeps beside ``config.yaml``.
    """
    os.environ.update(of_children())
    obey_only_own_settings()


def of_children() -> dict[str, str]:
    """Return the variables by which a new process ignores its folder as a command does.

    The folders in ``PYTHONPATH`` stay. They become absolute, since an empty or relative one would
    mean the working directory of the process.
    """
    variables = {
        "PYTHONSAFEPATH": "1",
        "PASSBAND_OWN_SETTINGS": "1",  # :mod:`passband` reads it in the process
    }
    if folders := os.environ.get("PYTHONPATH"):
        absolute = (os.path.abspath(folder) for folder in folders.split(os.pathsep) if folder)
        variables["PYTHONPATH"] = os.pathsep.join(absolute)
    return variables


@contextmanager
def starting_children() -> Iterator[None]:
    """Let the processes that a pool starts meanwhile ignore their folder.

    It starts some with its first lock, and some with its work. They have the environment of this
    process, and its places of modules, of which a notebook's first is its folder. So both are
    changed for a moment.
    """
    before = os.environ.copy()
    places = sys.path
    variables = of_children()
    os.environ.update(variables)
    sys.path = [place for place in places if place]
    try:
        yield
    finally:
        sys.path = places
        for name in variables:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def obey_only_own_settings() -> None:
    """Let libraries that this process has not imported yet ignore settings in its folder.

    Otherwise ``text.usetex`` would start LaTeX with a stranger's preamble, numba would load machine
    code from a stranger's cache, and ``disable_jit`` would make its functions fail.
    """
    if not any(isinstance(finder, _Elsewhere) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Elsewhere())


class _Elsewhere(MetaPathFinder):
    """Imports the modules that read settings in a folder of the package."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _READERS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def elsewhere(module: ModuleType) -> None:
            with _working_in(_SETTINGS):
                execute(module)
            if name == "numba.core.config":  # it reads the file again when it compiles
                vars(module)["_config_fname"] = os.devnull

        spec.loader.exec_module = elsewhere
        return spec


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Make a folder the working directory for a moment, if the process can return to its own."""
    own = None
    with suppress(OSError):  # its own was removed: there are no settings in it
        own = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
        os.chdir(folder)
    try:
        yield
    finally:
        if own is not None:
            os.fchdir(own)
            os.close(own)


def cache_somewhere() -> None:
    """Give this process and its children a folder for caches, if the user's own is not writable.

    Snakemake does not start without one, and matplotlib makes a new one in every process. The
    folder is removed at the end of this process.
    """
    try:
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        own.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=own).close()
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        with suppress(OSError):  # nothing can be written anywhere
            folder = tempfile.mkdtemp(prefix="passband-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            os.environ["XDG_CACHE_HOME"] = folder
            os.environ.setdefault("MPLCONFIGDIR", folder)
