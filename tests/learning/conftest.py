"""Studies with own parts; the package without compiled networks, or with a further loss."""

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
def with_another_loss(copied) -> None:
    """Let child processes import a copy of the package whose loss has another term.

    Its weight is the key `training.square_weight`. It was forgotten in `learning/narrow`.
    """
    package = copied()
    patience = "    patience: int = key("
    weight = '    square_weight: float = key(0.0, "A weight.", since="0.2.0", ge=0)\n'
    replace(package / "config/training.py", patience, weight + patience)
    before = "    return settings.entropy_weight"
    term = "settings.square_weight * ((probability - mask) ** 2).mean(pixels)"
    replace(package / "learning/losses.py", before, f"    dice_loss = dice_loss + {term}\n{before}")


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
