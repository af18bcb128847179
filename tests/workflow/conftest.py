"""Copies of finished studies for tests that change them, and Passband's commands."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from workplace import Workplace

from passband import cli

FINISHED = Path(__file__).parents[1] / "data/finished_03.tar.xz"


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Path:
    """The results of the finished study in tests/data, which no test may change."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "xf", FINISHED, "results/smallest"], cwd=folder, check=True)
    return folder / "results/smallest"


@pytest.fixture
def passband(monkeypatch, capsys, restored_threads) -> Callable[..., str]:
    """Return a function that runs a command in a workplace, and returns its output.

    The command runs in this process, since its imports take seconds.
    """

    def run(place: Workplace, *words: str) -> str:
        with monkeypatch.context() as patch:
            patch.chdir(place.folder)
            capsys.readouterr()
            assert cli.main(words) == 0
        return capsys.readouterr().out

    return run
