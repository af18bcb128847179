"""Fixtures of several tests: a microscope, splits, a finished study, a full disk, a browser."""

import contextlib
import errno
import fcntl
import gc
import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, settings
from left_out import pytest_ignore_collect  # noqa: F401
from left_processes import pytest_configure, pytest_sessionfinish  # noqa: F401
from required import refuse
from synthetic import CPU, SEED, discs
from workplace import Workplace, cpu_seconds

from passband.config import Microscope
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.matrices import of_study

# One thread, as in a job. Images in tests are so small that threads would mostly wait.
torch.set_num_threads(1)

# Modules and tests stay to the end: looking for garbage among them again and again takes time.
gc.disable()

# The & of a shell makes programs ignore Ctrl-C, and also the programs that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis limits the time of an example, and draws other examples in every run. Tests must give
# the same result on every machine and in every run.
settings.register_profile(
    "passband",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("passband")


@pytest.fixture(scope="session")
def microscope() -> Microscope:
    return Microscope(field_px=32, pixel_size_A=0.4, focal_members=3)


@pytest.fixture(scope="session")
def make_split(microscope) -> Callable[..., Split]:
    """Return the function ``make_split(structures, split, specimen, …)``.

    The function returns a Split of structures from `discs`, on the CPU.
    """

    def make(number: int, split: str = "train", specimen: str = "gold", **options) -> Split:
        waves = discs(number, split, specimen, **options)
        return Split.from_dataset(waves, Structures(SEED, specimen, split, microscope), CPU)

    return make


@pytest.fixture(scope="session")
def camera(microscope) -> Acquisition:
    return Acquisition.from_microscope(microscope, "zscore", CPU)


@pytest.fixture(scope="session")
def condition() -> Condition:
    """A condition that shows the fringes of the synthetic discs in full contrast."""
    return Condition(defocus_nm=15, cs_um=1.2, aperture_mrad=15, dose_e_per_A2=1000)


@pytest.fixture
def all_learned(monkeypatch) -> None:
    """Regard all networks of this process's studies as good: theirs are trained too briefly."""
    of_matrices = of_study.unlearned

    def unlearned(matrices, every, study) -> xr.DataArray:
        found = of_matrices(matrices, every, study)
        return xr.zeros_like(found).assign_attrs(learned=found.size)

    monkeypatch.setattr(of_study, "unlearned", unlearned)


def pytest_collection_finish() -> None:
    """From now on, look for garbage among the objects that tests make."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests, so that the workers of ``make test`` end at the same time.

    A worker runs all tests of a file. Tests that start SLURM mostly wait, so they begin first, and
    the other workers use the processor. Files with slow tests come before files with quick tests.
    """

    def quickness(item: pytest.Item) -> int:
        marks = "slurm", "slow"
        return next((k for k, m in enumerate(marks) if item.get_closest_marker(m)), len(marks))

    items.sort(key=quickness)


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Lock a file, so that only one process at a time continues."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Iterator[Workplace]:
    """A folder with the finished smallest study. Tests must add no file to its results.

    The study runs once in each run of pytest, and each worker of pytest-xdist has a copy.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # all workers share this folder
    made, said = base / "finished", base / "finished.json"
    with alone(base / "finished.lock"):
        if not said.exists():
            place, started = Workplace(made), cpu_seconds()
            printed = place.run(study="studies/smallest.yaml", explorer=True)
            seconds = cpu_seconds() - started
            every_job = place.jobs("--forceall", study="studies/smallest.yaml", explorer=True)
            said.write_text(
                json.dumps({"printed": printed, "cpu_seconds": seconds, "every_job": every_job})
            )
        place = Workplace(tmp_path_factory.mktemp("finished"))
        place.take(made)
    vars(place).update(json.loads(said.read_text()))
    results = place.folder / "results"
    before = set(results.rglob("*"))
    yield place
    assert not set(results.rglob("*")) - before


@pytest.fixture(scope="session")
def archived(tmp_path_factory) -> Path:
    """A folder with the study that 0.3.0 has finished. Tests must not change it."""
    folder = tmp_path_factory.mktemp("archived")
    with tarfile.open(Path(__file__).parent / "data/finished_03.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def copied(finished, tmp_path) -> Workplace:
    """A copy of the finished smallest study, which the test may change."""
    place = Workplace(tmp_path / "copy")
    place.take(finished.folder)
    return place


@pytest.fixture(scope="session")
def results_of_known(tmp_path_factory) -> Path:
    """A folder with the study `known` and its table of results."""
    from recommended import make_results, make_study

    folder = tmp_path_factory.mktemp("known")
    make_results(make_study(), folder)
    return folder


@pytest.fixture
def known(results_of_known, tmp_path, monkeypatch) -> Path:
    """The folder in which the test is, with a copy of the study `known`."""
    shutil.copytree(results_of_known, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Disk:
    """A separate file system, which a test can fill."""

    def __init__(self, folder: Path):
        self.folder = folder

    def resize(self, size: str) -> None:
        command = ["mount", "-o", f"remount,size={size}", self.folder]
        subprocess.run(command, check=True, capture_output=True)

    def fill(self, leaving: int = 0) -> None:
        """Fill the disk except for one or two inodes and `leaving` bytes."""
        with (self.folder / "filling").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
            file.truncate(max(0, file.tell() - leaving))


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    """A separate disk of 2 MB.

    If the machine cannot mount the disk, the test is skipped, unless PASSBAND_REQUIRE_SLURM is set.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        refuse("SLURM", "no file system can be mounted here")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def refuse_writing(monkeypatch) -> Callable[[Path], None]:
    """Return a function after which no text file can be written into a folder.

    A folder's permissions would not do, since root may write everywhere.
    """
    write = Path.write_text

    def refuse(folder: Path) -> None:
        def write_text(path, *arguments, **named):
            if path.parent == folder:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return write(path, *arguments, **named)

        monkeypatch.setattr(Path, "write_text", write_text)

    return refuse


@pytest.fixture
def rutile(tmp_path):
    """A CIF file of a crystal that is not cubic: TiO2, a = 4.594, c = 2.959, u = 0.305."""
    from ase.spacegroup import crystal  # a second, for few tests

    path = tmp_path / "rutile.cif"
    crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    ).write(path)
    return str(path)


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """Restore the number of threads, since a job limits the threads of the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def chromium():
    """A Chromium that the tests of a module share."""
    with browser.opened("about:blank") as page:
        yield page


@pytest.fixture
def other(chromium):
    """A Chromium in which a test can open another page."""
    chromium.problems.clear()
    yield chromium
    assert chromium.problems == []
