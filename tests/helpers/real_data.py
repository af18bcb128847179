"""Real images and files of microscopes, which are beside the repository and not in it."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"


def real(*names: str) -> Path:
    """Return a path, such as that of ``real("formats", "a.dm3")``, or skip the test."""
    path = FOLDER.joinpath(*names)
    if not path.exists():
        pytest.skip("the real images are not here")
    return path
