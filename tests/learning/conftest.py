"""A copy of the package without the compiled functions for networks."""

import shutil
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src/passband"
IMPORT = "from passband.learning.narrow import CompactNetworks, fuse\n"


@pytest.fixture
def without_narrow(tmp_path, monkeypatch) -> None:
    """Let child processes import a copy of the package without the folder `learning/narrow`.

    One line of the copy is changed, as the docstring of `backend` says.
    """
    copy = tmp_path / "src/passband"
    # Other processes may be writing the caches of Python and numba.
    absent = shutil.ignore_patterns("narrow", "*.pyc*", "*.tmp.*")
    shutil.copytree(PACKAGE, copy, ignore=absent)
    backend = copy / "learning/backend.py"
    text = backend.read_text()
    assert text.count(IMPORT) == 1
    backend.write_text(text.replace(IMPORT, "CompactNetworks = fuse = None\n"))
    monkeypatch.setenv("PYTHONPATH", str(copy.parent))
