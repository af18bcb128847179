"""Trains and tests small networks in memory, condition by condition, as the workflow would.

A folder has, for each training condition of an arm, the networks ``ARM/<number>.safetensors`` and
what they did in the tests, ``ARM/<number>.npz``; ``waves`` has the exit waves that arms share, and
``costs.csv`` has a line for each run. A run that was interrupted continues.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import llvmlite.binding
import numpy as np
import torch
import xarray as xr
from torch import nn

from findings.twelve_thousand.pieces import append
from passband import PassbandError
from passband.analysis.spectra import Curve
from passband.config import Microscope, Study
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import LoadedStructures, Split, Structures
from passband.jobs.running import cap_threads, keep_memory
from passband.learning import backend, devices, evaluation, networks, training
from passband.learning.evaluation import SharedImages
from passband.learning.heads import found as heads
from passband.mixtures import Mixture
from passband.scores import OUTCOMES, dice
from passband.seeds import digest, seed
from passband.specimens import exit_waves
from passband.storage import atomic, provenance
from passband.storage.integrity import read_if_valid
from passband.storage.weights import (
    CellWeights,
    WeightsMetadata,
    as_array,
    load_cells,
    save_cells,
)

#: Makes what forms the images, from a microscope, a normalisation and a device.
Acquire = Callable[[Microscope, str, torch.device], Acquisition]

CPU = torch.device("cpu")
#: The largest size of the test images that the networks of a process share [bytes].
SHARED = 2**30
COSTS = "costs.csv"


@dataclass(frozen=True)
class Arm:
    """Networks that are trained and tested alike, under several training conditions.

    Attributes:
        study: Has the microscope, one specimen, the settings of training, the numbers of structures
            for training and validation, and the seed. Its grid does not count.
        conditions: Training conditions; their place is their number.
        structures: The numbers of the test structures.
        trains, tests_by: Make what forms the images for training and for tests, such as the
            `from_microscope` of a subclass of :class:`Acquisition`. Arms whose images are formed
            otherwise must have other names.
        networks_of: The arm whose networks are tested once more; by default, they are its own.
    """

    name: str
    study: Study
    _: KW_ONLY
    conditions: tuple[Condition | Mixture, ...]
    replicas: tuple[int, ...]
    tests: tuple[Condition, ...]
    architecture: str = "compact-w4-d2"
    structures: range = range(32, 64)
    trains: Acquire = Acquisition.from_microscope
    tests_by: Acquire = Acquisition.from_microscope
    networks_of: str = ""

    @property
    def specimen(self) -> str:
        """The name of the only specimen."""
        (name,) = self.study.specimens
        return name

    def recipe(self, number: int) -> str:
        """Return the digest of what the networks of a condition follow from."""
        name = self.networks_of or self.name
        return digest(name, *self._trained, self.conditions[number].id, list(self.replicas))

    def test_recipe(self, number: int) -> str:
        """Return the digest of what the results of a condition follow from."""
        tests = [condition.id for condition in self.tests]
        return digest(self.name, self.recipe(number), tests, list(self.structures))

    @cached_property
    def _trained(self) -> tuple[str, str]:
        return self.study.digest, self.architecture

    def seeds(self, number: int) -> dict[int, int]:
        """Return the seeds of replicas, those of :meth:`passband.store.networks.StoredNetworks`."""
        of = self.study.study.seed, self.specimen, self.architecture, self.conditions[number].id
        return {replica: seed(*of, replica) for replica in self.replicas}


def processor() -> str:
    """Return the kind of processor, which numbers depend on."""
    return f"{devices.describe(CPU)}, {llvmlite.binding.get_host_cpu_name()}"


def weights_file(arm: Arm, folder: Path, number: int) -> Path:
    """Return the file of the networks of a training condition."""
    return folder / (arm.networks_of or arm.name) / f"{number}.safetensors"


def results_file(arm: Arm, folder: Path, number: int) -> Path:
    """Return the file of the tests of these networks."""
    return folder / arm.name / f"{number}.npz"


def run(arm: Arm, folder: Path, part: tuple[int, int] = (0, 1)) -> None:
    """Train and test the networks that the folder lacks, in one thread.

    Args:
        part: (k, n): of the training conditions, those whose number modulo n is k.

    Raises:
        PassbandError: If the folder has networks of another arm with this name.
    """
    shared = SharedImages(SHARED)
    with running(arm.name, folder, len(arm.conditions), part) as at:
        for number in at.numbers:
            if _read(arm, folder, number) is None:
                cell = trained(arm, folder, number)
                _test(arm, folder, number, cell, shared)
                at.made += len(arm.replicas)


@dataclass
class Running:
    """A run in one thread.

    Attributes:
        numbers: Of the training conditions that are its part.
        made: Number of networks that are done.
    """

    numbers: range
    made: int = 0


@contextmanager
def running(name: str, folder: Path, number: int, part: tuple[int, int]) -> Iterator[Running]:
    """Run in one thread, and write a line of costs if anything was made, or the run was cut off.

    Args:
        number: The number of training conditions, of which a part is run.
    """
    first, every = part
    if not 0 <= first < every:
        raise PassbandError(f"--part {first}/{every}: k of k/n must be from 0 to n − 1")
    cap_threads(1)
    keep_memory()
    at = Running(range(first, number, every))
    whole = False
    started = time.process_time()
    try:
        yield at
        whole = True
    finally:
        if at.made or not whole:
            seconds = round(time.process_time() - started, 1)
            row = {"arm": name, "part": f"{first}/{every}", "networks": at.made, "whole": whole}
            append(folder / COSTS, row | {"seconds": seconds})


def part(text: str) -> tuple[int, int]:
    """Return k and n of the option ``--part k/n``, see :func:`run`.

    Raises:
        PassbandError: If the text is something else.
    """
    words = text.split("/")
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise PassbandError(f"--part {text}: must be k/n, such as 0/2")
    return int(words[0]), int(words[1])


# ── Structures ───────────────────────────────────────────────────────────────────────────────────


def split(study: Study, folder: Path, name: str, numbers: Sequence[int]) -> Split:
    """Return structures of the study's only specimen, whose exit waves the folder keeps.

    Args:
        name: ``train``, ``val`` or ``test``.
        numbers: The structures' numbers within the split.
    """
    (specimen,) = study.specimens
    structures = Structures(study.study.seed, specimen, name, study.microscope)
    waves = _waves(study, folder, name, numbers)
    data = xr.Dataset({each: (_WAVES[each], of) for each, of in waves.items()})
    return Split.from_dataset(data, structures, CPU)


def spectrum(study: Study, folder: Path) -> Curve:
    """Return the specimen's power spectrum, the mean over the training structures.

    Returns:
        Frequencies [1/Å], and the power spectral density there [Å²], as
        :func:`passband.analysis.spectra.mean_spectrum` has it.
    """
    power = _waves(study, folder, "train", range(study.study.structures.train))["power"]
    q = np.arange(power.shape[1]) / study.microscope.wave_sampling.field_A
    return q, study.microscope.sampling.density(power.mean(0))


def _waves(study: Study, folder: Path, name: str, numbers: Sequence[int]) -> dict[str, np.ndarray]:
    """Return what is kept of exit waves, see :func:`passband.specimens.exit_waves.simulate`."""
    ((specimen, of),) = study.specimens.items()
    microscope = study.microscope
    number = study.study.seed
    key = digest(number, specimen, repr(of), repr(microscope), name, list(numbers))
    path = folder / "waves" / f"{key}.npz"
    if not path.exists():
        waves = exit_waves.simulate(specimen, of, microscope, number, name, list(numbers), "cpu")
        with atomic.replacing(path) as beside:
            np.savez(beside, allow_pickle=False, **{each: waves[each].values for each in _WAVES})
    with _readable(path), np.load(path) as file:
        return {each: file[each] for each in _WAVES}


#: The variables of exit waves that are kept, and their dimensions.
_WAVES = {
    "spectrum": ("structure", "configuration", "kx", "ky"),
    "mask": ("structure", "x", "y"),
    "instances": ("structure", "face", "x", "y"),
    "structure": ("structure",),
    "power": ("structure", "q"),
}


# ── Training ─────────────────────────────────────────────────────────────────────────────────────


def trained(arm: Arm, folder: Path, number: int) -> CellWeights:
    """Return the networks of a training condition, which are trained if the folder lacks them.

    Raises:
        PassbandError: If the networks in the folder follow from something else.
    """
    path = weights_file(arm, folder, number)
    condition = arm.conditions[number]
    if found := read_if_valid(load_cells, path):
        (cell,) = found.values()
        _check(cell.metadata.recipe_digest, arm.recipe(number), path)
        return cell
    of = arm.study.study.structures
    splits = (
        split(arm.study, folder, "train", range(of.train)),
        split(arm.study, folder, "val", range(of.val)),
    )
    settings = arm.study.training
    started = time.process_time()
    found = training.train(
        arm.architecture,
        arm.trains(arm.study.microscope, settings.normalisation, CPU),
        splits,
        condition,
        settings,
        arm.seeds(number),
        # Otherwise times would decide, and with them the last digits of the weights.
        together=backend.compiles(settings, arm.architecture, CPU),
    )
    seconds = time.process_time() - started
    metadata = WeightsMetadata(
        architecture=arm.architecture,
        specimen=arm.specimen,
        condition=condition.id,
        normalisation=settings.normalisation,
        precision=backend.precision(settings, arm.architecture, CPU),
        device=processor(),
        recipe_digest=arm.recipe(number),
        vectorized=any(each.vectorized for each in found.values()),
        best={replica: each.best for replica, each in found.items()},
        history={replica: tuple(each.history) for replica, each in found.items()},
        provenance={},
        code=settings.architecture(arm.architecture).code,
    )
    weights: dict[int, dict[str, torch.Tensor | np.ndarray]] = {
        replica: {name: as_array(tensor) for name, tensor in each.weights.items()}
        for replica, each in found.items()
    }
    command = f"findings.second_lock, arm {arm.name}"
    attributes = provenance.attributes(arm.study.study.name, arm.study.digest, command)
    attributes[SECONDS] = f"{seconds:.2f}"
    save_cells({condition.id: CellWeights(weights, metadata)}, path, attributes)
    return trained(arm, folder, number)


#: The attribute of a file of networks with the processor's seconds of their training.
SECONDS = "seconds"


def restored(arm: Arm, cell: CellWeights) -> dict[int, nn.Module]:
    """Return networks by replica, ready for :func:`passband.learning.evaluation.evaluate`."""
    architecture = arm.study.training.architecture(arm.architecture)
    return {
        replica: networks.restore(
            architecture, {name: torch.as_tensor(each) for name, each in weights.items()}
        )
        for replica, weights in cell.weights.items()
    }


# ── Tests ────────────────────────────────────────────────────────────────────────────────────────


def _test(arm: Arm, folder: Path, number: int, cell: CellWeights, shared: SharedImages) -> None:
    """Test the networks of a training condition, and write their results."""
    settings = arm.study.training
    head = settings.architecture(arm.architecture).head
    of_split = split(arm.study, folder, "test", arm.structures)
    structures = {arm.specimen: LoadedStructures(of_split.structures, {"": of_split})}
    acquisition = arm.tests_by(arm.study.microscope, settings.normalisation, CPU)
    opened = heads.opened(head) if head else None

    def tested(conditions: Sequence[Condition | Mixture], images: SharedImages) -> xr.Dataset:
        return evaluation.evaluate(
            restored(arm, cell),
            acquisition,
            structures,
            conditions,
            batch_size=arm.study.evaluation.batch_size,
            precision=cell.metadata.precision,
            shared=images,
            head=opened,
        ).isel(test_specimen=0)

    started = time.process_time()
    abroad = tested(arm.tests, shared)
    home = tested([arm.conditions[number]], SharedImages(0))
    seconds = time.process_time() - started
    arrays = {
        "counts": abroad.counts.values,
        "home": home.counts.values[:, 0],
        "val_loss": np.array([cell.metadata.best[r].val_loss for r in arm.replicas]),
        "seconds": np.array([float(str(cell.metadata.provenance[SECONDS])), seconds]),
        "processors": np.array([cell.metadata.device, processor()]),
        "revision": np.array(cell.metadata.provenance["git_revision"]),
        "recipe": np.array(arm.test_recipe(number)),
    }
    if head:
        arrays["particles"] = abroad.particles.values
        arrays["home_particles"] = home.particles.values[:, 0]
    with atomic.replacing(results_file(arm, folder, number)) as beside:
        np.savez_compressed(beside, **arrays)


def _read(arm: Arm, folder: Path, number: int) -> dict[str, np.ndarray] | None:
    """Return the results of a training condition, or None if the folder lacks them."""
    path = results_file(arm, folder, number)
    if not path.exists():
        return None
    with _readable(path), np.load(path) as file:
        found = dict(file)
    _check(str(found["recipe"]), arm.test_recipe(number), path)
    return found


def results(arm: Arm, folder: Path) -> xr.Dataset:
    """Return what the networks of an arm did.

    Returns:
        `counts` (condition, replica, test, structure, outcome) and `home` (condition, replica,
        structure, outcome) uint32, numbers of pixels, the latter under the networks' own training
        condition; `dice` and `home_dice` follow from them. `val_loss` (condition, replica).
        `seconds` (condition, stage): processor time of training and of tests. With a head also
        `particles` and `home_particles`, see :func:`passband.learning.evaluation.evaluate`.

    Raises:
        PassbandError: If results are missing, or were made on several kinds of processor.
    """
    read = [_read(arm, folder, number) for number in range(len(arm.conditions))]
    made = [each for each in read if each is not None]
    if lacking := len(read) - len(made):
        raise PassbandError(
            f"{folder / arm.name}: has no networks of {lacking} of {len(read)} training "
            "conditions; train them first"
        )
    kinds = sorted({str(kind) for each in made for kind in each["processors"]})
    if len(kinds) > 1:
        raise PassbandError(
            f"{folder / arm.name}: networks of several processors, {' and '.join(kinds)}; must be "
            "of one, since numbers depend on it"
        )
    cell = "condition", "replica", "test", "structure"
    home = "condition", "replica", "structure"
    dims = {
        "counts": (*cell, "outcome"),
        "home": (*home, "outcome"),
        "val_loss": ("condition", "replica"),
        "seconds": ("condition", "stage"),
        "particles": (*cell, "truth", "number"),
        "home_particles": (*home, "truth", "number"),
    }
    arrays = {
        name: (of, np.stack([each[name] for each in made]))
        for name, of in dims.items()
        if name in made[0]
    }
    found = xr.Dataset(
        arrays,
        coords={
            "condition": [condition.id for condition in arm.conditions],
            "replica": list(arm.replicas),
            "test": [condition.id for condition in arm.tests],
            "structure": list(arm.structures),
            "outcome": list(OUTCOMES),
            "stage": ["train", "test"],
        },
        attrs={"processor": kinds[0]},
    )
    found["dice"] = (cell, dice(found.counts.values))
    found["home_dice"] = (home, dice(found.home.values))
    return found


def _check(found: str, expected: str, path: Path) -> None:
    """Raise PassbandError if a file follows from something else than what it should."""
    if found != expected:
        raise PassbandError(f"{path}: was made of another arm with this name; remove it")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one line that a file is damaged."""
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise PassbandError(f"{path}: cannot be read ({error}); remove it") from None
