"""Studies with own parts, and the package without compiled networks."""

import shutil
from pathlib import Path

import pytest
from parts_text import HEAD

from passband.config import validate

PACKAGE = Path(__file__).parents[2] / "src/passband"
IMPORT = "from passband.learning.narrow import CompactNetworks, fuse, unknown\n"


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Return a function that lets child processes import a copy of the package, its result."""

    def copy(*without: str) -> Path:
        package = tmp_path / "src/passband"
        # Other processes may be writing the caches of Python and numba.
        absent = shutil.ignore_patterns(*without, "*.pyc*", "*.tmp.*")
        shutil.copytree(PACKAGE, package, ignore=absent)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        return package

    return copy


@pytest.fixture
def without_narrow(copied) -> None:
    """Let child processes import a copy of the package without the folder `learning/narrow`.

    One line of the copy is changed, as the docstring of `backend` says.
    """
    backend = copied("narrow") / "learning/backend.py"
    replace(backend, IMPORT, "CompactNetworks = fuse = unknown = None\n")


@pytest.fixture
def study(tmp_path):
    """Return a function that makes a study with files of parts, whose code runs."""

    def make(parts=(), trusted=True, **keys):
        folder = tmp_path / "parts"
        folder.mkdir(exist_ok=True)
        for name, text in dict(parts).items():
            (folder / f"{name}.py").write_text(HEAD + text)
        training = {"precision": "float32", "batch_size": 4, "epochs": 1, **keys}
        made = validate({"training": training}, str(tmp_path / "config.yaml"))
        if trusted:
            made.known_parts.trust()
        return made

    return make
