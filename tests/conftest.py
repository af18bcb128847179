"""What tests share: a microscope, a condition and splits of small synthetic exit waves."""

from collections.abc import Callable

import pytest
import torch
from synthetic import CPU, SEED, discs

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
