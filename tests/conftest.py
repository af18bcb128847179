"""What tests share: a microscope, a condition and splits of small synthetic exit waves."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from synthetic import CPU, SEED, discs

from passband import holdout
from passband.config import Microscope
from passband.examples import Camera, Split
from passband.grid import Condition

# As a job by default. Images here are so small that threads would mostly wait for each other.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_split() -> Callable[..., Split]:
    """``make_split(structures, split, specimen, …)`` is a Split of `discs` on the CPU."""
    return lambda *args, **options: Split.from_dataset(discs(*args, **options), SEED, CPU)


@pytest.fixture(scope="session")
def microscope() -> Microscope:
    return Microscope(field_px=32, pixel_size_A=0.4, focal_members=3)


@pytest.fixture(scope="session")
def camera(microscope) -> Camera:
    return Camera.of(microscope, "zscore", CPU)


@pytest.fixture(scope="session")
def condition() -> Condition:
    """The fringes of the discs in full contrast."""
    return Condition(defocus_nm=15, cs_um=1.2, aperture_mrad=15, dose_e_per_A2=1000)


@pytest.fixture
def few_folds(monkeypatch) -> None:
    """Predictions are judged by fewer folds, for the sake of time."""
    monkeypatch.setattr(holdout, "GROUPS", 3)
    monkeypatch.setattr(holdout, "INNER", 2)


class Disk:
    """A file system of its own, which can be full."""

    def __init__(self, folder: Path):
        self.folder = folder

    def resize(self, size: str) -> None:
        command = ["mount", "-o", f"remount,size={size}", self.folder]
        subprocess.run(command, check=True, capture_output=True)

    def fill(self) -> None:
        """Take all space that is left, but for an inode or two."""
        with (self.folder / "filling").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    """A disk of 2 MB. Skips where nothing can be mounted, unless PASSBAND_REQUIRE_SLURM is
    set."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        refuse = pytest.fail if os.environ.get("PASSBAND_REQUIRE_SLURM") else pytest.skip
        refuse("no file system can be mounted here")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)
