"""What the processes that Passband starts import, and where they keep caches."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def import_only_installed() -> None:
    """Let no process that is started from now on import the files of its working directory.

    Python would look there first: in a folder of results from somebody else, and for a file
    ``random.py`` that a user keeps beside ``config.yaml``. The folders in ``PYTHONPATH`` stay. They
    become absolute, since an empty or relative one would mean the working directory of the process.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    if folders := os.environ.get("PYTHONPATH"):
        absolute = (os.path.abspath(folder) for folder in folders.split(os.pathsep) if folder)
        os.environ["PYTHONPATH"] = os.pathsep.join(absolute)
    # numba runs the machine code in its cache, and a file .numba_config.yaml could name the cache.
    os.environ.setdefault("NUMBA_CACHE_DIR", "")


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
