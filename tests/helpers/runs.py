"""Functions that several tests of the workflow use."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from workplace import SMALLEST, SNAKEMAKE, Workplace

from passband.config import load
from passband.results.stores import load_table
from passband.runs import child

ROOT = Path(__file__).parents[2]

# The condition whose network is in the figure of examples.
MIDDLE = "df+0020.00_cs+0001.200_ap016.00_ds001000.00"

SILVER = {"material": "Ag", "diameter_nm": {"mean": 1.3, "max": 1.6}}

# The figures of the smallest study.
FIGURES = load(SMALLEST).drawn


def wait(process: subprocess.Popen, until: Callable[[], object], seconds: float = 1000) -> object:
    """Wait while Snakemake runs until a condition is true, and return its value."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(FileNotFoundError):  # jobs may delete a file that is being read
            if found := until():
                return found
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Passband's commands start Snakemake as a fork, as `Workplace.run` does, to save seconds.

    All that it prints goes to standard error, or is returned.
    """

    def run(words: Sequence[str], folder: Path, *, look=None, captured=False) -> child.Ended:
        assert words[1:3] == ["-m", "snakemake"]
        status, printed = SNAKEMAKE.run(folder.resolve(), *words[3:])
        if captured:
            return child.Ended(status, printed)
        print(printed, end="", file=sys.stderr)
        return child.Ended(status)

    monkeypatch.setattr(child, "run", run)


def counts(place: Workplace) -> np.ndarray:
    return load_table(place.folder / "results/smallest/table.zarr").counts.values


def reasons(place: Workplace, *words: str, **which: str) -> list[str]:
    """Return why the jobs of a dry run would run, as `passband run --dry-run --why` prints it."""
    why = "--logger", "passband", "--logger-passband-why", "--dry-run"
    printed = place.run(*why, *words, **which)
    return re.findall(r"^  (\S.*)$", printed.partition("\nWhy they would run:\n")[2], re.M)
