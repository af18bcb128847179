"""What the processes that Passband starts import."""

import os


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
