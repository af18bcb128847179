"""Copies of finished studies for tests that change them."""

import subprocess
from pathlib import Path

import pytest
from workplace import Workplace

FINISHED = Path(__file__).parents[1] / "data/finished.tar.xz"


@pytest.fixture
def copied(finished, tmp_path) -> Workplace:
    """A copy of the finished smallest study, which the test may change."""
    place = Workplace(tmp_path / "copy")
    place.take(finished.folder)
    return place


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Path:
    """The results of the finished study in tests/data, which no test may change."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "xf", FINISHED, "results/smallest"], cwd=folder, check=True)
    return folder / "results/smallest"
