"""Small synthetic exit waves, so that what follows multislice is tested without it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from passband.config import Microscope
from passband.examples import Camera, Split
from passband.grid import Condition
from passband.sampling import Sampling
from passband.seeds import generator

# As a job by default. Images here are so small that threads would mostly wait for each other.
torch.set_num_threads(1)

CPU = torch.device("cpu")
SEED = 7


def discs(
    structures: int, split: str = "train", specimen: str = "gold", px: int = 32, phase: float = 0.4
) -> xr.Dataset:
    """Return exit waves as `simulate` makes them, of one crystalline weak phase disc each.

    The lattice fringes of 2.4 Å are what a network finds the disc by.
    """
    sampling = Sampling(px, 0.4)
    x = (np.arange(px) + 0.5) * 0.4
    spectra, masks = [], []
    for index in range(structures):
        random = generator(SEED, specimen, split, index)
        radius = random.uniform(2.0, 3.2) * px / 32
        centre = random.uniform(radius, sampling.field_A - radius, size=2)
        mask = np.hypot(x[:, None] - centre[0], x[None, :] - centre[1]) <= radius
        angle = random.uniform(0, np.pi)
        along = np.cos(angle) * x[:, None] + np.sin(angle) * x[None, :]
        wave = np.exp(1j * phase * mask * (1 + np.cos(2 * np.pi * along / 2.4)))
        spectra.append(sampling.crop(wave).astype(np.complex64))
        masks.append(mask.astype(np.uint8))
    # The disc lies on top; the bottom has a part of it too, so that there is an overlap.
    instances = np.stack([masks, 2 * np.roll(masks, 3, 1) * np.stack(masks)], 1).astype(np.uint8)
    return xr.Dataset(
        {
            "spectrum": (
                ("structure", "configuration", "kx", "ky"),
                np.stack(spectra)[:, None],
            ),
            "mask": (("structure", "x", "y"), np.stack(masks)),
            "instances": (("structure", "face", "x", "y"), instances),
        },
        {"structure": np.arange(structures), "face": ["top", "bottom"]},
        {"specimen": specimen, "split": split, "field_px": px, "pixel_size_A": 0.4},
    )


@pytest.fixture(scope="session")
def make_split() -> Callable[..., Split]:
    """``make_split(structures, split, specimen, …)`` is a Split of :func:`discs` on the CPU."""
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
    """A disk of 2 MB. Skips where nothing can be mounted, unless PASSBAND_REQUIRE_SLURM is set, as
    it is in .ci/run."""
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
