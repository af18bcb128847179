"""Fields of several particles, and what networks find in them that saw one or two.

A folder has, for each training condition of an arm, what its networks found,
``ARM/fields/<number>.npz``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from scipy.special import expit
from scipy.stats import wasserstein_distance
from torch import nn

from findings.second_lock import networks
from findings.second_lock.networks import CPU, Arm
from findings.twelve_thousand.locked import read_arrays
from passband import PassbandError
from passband.config import Study, validate
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split
from passband.learning import backend
from passband.learning.evaluation import SharedImages
from passband.learning.heads.found import opened
from passband.learning.instance_counts import SMALLEST_NM, Truth, count
from passband.micrographs.images.particles import instances
from passband.particle_scores import NUMBERS, TRUTHS
from passband.seeds import digest
from passband.storage import atomic
from passband.units import A_PER_NM

#: The side of a field [pixels], and how many particles it has on both faces.
FIELD_PX = 128
PARTICLES = {"min": 4, "max": 8}

#: Returns the labels of an image's particles, and the diameters [nm] that a head states, from a
#: network's outputs (outputs, h, w) and the size of a pixel [nm].
Decode = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray | None]]


def of_fields(study: Study) -> Study:
    """Return a study with fields of several particles in place of its specimen."""
    content = study.written()
    content["study"]["name"] = f"{study.study.name}-fields"
    content["microscope"]["field_px"] = FIELD_PX
    (specimen,) = content["specimens"].values()
    specimen["particles"] = PARTICLES
    specimen["substrate"] = {**specimen["substrate"], "faces": "both"}
    return validate(content, content["study"]["name"])


def by_rule(outputs: np.ndarray, pixel_nm: float) -> tuple[np.ndarray, None]:
    """Return the particles that the package's rule finds in a mask; see :data:`Decode`."""
    return instances(expit(outputs[0]), pixel_nm, SMALLEST_NM), None


def by_head(arm: Arm) -> Decode:
    """Return what the head of an arm's networks finds, see :data:`Decode`."""
    part = arm.study.training.architecture(arm.architecture).head
    if part is None:
        raise PassbandError(f"{arm.name}: {arm.architecture} has no head")
    head = opened(part)

    def decode(outputs: np.ndarray, pixel_nm: float) -> tuple[np.ndarray, np.ndarray]:
        found = head.decode(outputs, pixel_nm)
        return found.labels, found.diameters_nm

    return decode


@dataclass(frozen=True, eq=False)
class Fields:
    """Simulated fields and the tests in which networks see them.

    Attributes:
        study: See :func:`of_fields`.
        shared: The images of the tests, which are formed once.
    """

    study: Study
    split: Split
    tests: tuple[Condition, ...]
    shared: SharedImages

    @classmethod
    def of(
        cls, study: Study, folder: Path, structures: range, tests: Iterable[Condition]
    ) -> "Fields":
        """Return the fields of a study of small images; the folder keeps their exit waves.

        Args:
            structures: Numbers within the test split.
        """
        large = of_fields(study)
        split = networks.split(large, folder, "test", structures)
        return cls(large, split, tuple(tests), SharedImages(networks.SHARED))

    @cached_property
    def truths(self) -> list[dict[str, Truth]]:
        """The true particles of each field."""
        return [Truth.of(each, self.pixel_nm) for each in self.instances]

    @property
    def instances(self) -> np.ndarray:
        """The labels of both faces, (structure, 2, height, width)."""
        labels = self.split.instances
        assert labels is not None  # the harness loads them
        return labels

    @cached_property
    def acquisition(self) -> Acquisition:
        """What forms the images."""
        normalisation = self.study.training.normalisation
        return Acquisition.from_microscope(self.study.microscope, normalisation, CPU)

    @property
    def pixel_nm(self) -> float:
        """The size of a pixel [nm]."""
        return self.study.microscope.pixel_size_A / A_PER_NM

    @property
    def recipe(self) -> str:
        """The digest of what the fields and their images follow from."""
        tests = [test.id for test in self.tests]
        return digest(self.study.digest, self.split.indices.tolist(), tests)

    @torch.inference_mode()
    def seen_by(
        self, modules: Sequence[nn.Module], precision: str, decode: Decode
    ) -> dict[str, np.ndarray]:
        """Return what networks find in the fields.

        Returns:
            `particles` (network, test, structure, truth, number) uint32, see
            :mod:`passband.particle_scores`; and `apart` (network, test), the Wasserstein distance
            [nm] of the diameters of found particles from those of visible true ones, all fields
            together, NaN without any found one. Particles that touch the edge have no diameter.
        """
        logits_of = backend.predictor(modules, precision, CPU)
        particles = np.zeros(
            (len(modules), len(self.tests), len(self.split), len(TRUTHS), len(NUMBERS)), np.uint32
        )
        apart = np.full(particles.shape[:2], np.nan)
        true_nm = np.concatenate([visible_diameters(each, self.pixel_nm) for each in self.truths])
        batch = self.study.evaluation.batch_size
        for j, test in enumerate(self.tests):
            found_nm: list[list[np.ndarray]] = [[] for _ in modules]
            start = 0
            for images in self.shared.batches(self.acquisition, self.split, test, batch):
                seen = logits_of(images) if logits_of else [module(images) for module in modules]
                for i, of_network in enumerate(seen):
                    for k, outputs in enumerate(of_network.float().numpy(), start):
                        labels, stated_nm = decode(outputs, self.pixel_nm)
                        particles[i, j, k] = count(self.truths[k], labels, stated_nm)
                        found_nm[i].append(whole_diameters(labels, self.pixel_nm))
                start += len(images)
            for i, parts in enumerate(found_nm):
                if len(of := np.concatenate(parts)):
                    apart[i, j] = wasserstein_distance(of, true_nm)
        return {"particles": particles, "apart": apart}


def visible_diameters(truths: dict[str, Truth], pixel_nm: float) -> np.ndarray:
    """Return the diameters of the visible true particles that do not touch the edge [nm]."""
    visible = truths["visible"]
    return _diameters(visible.pieces.areas[visible.counts], pixel_nm)


def whole_diameters(labels: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the diameters of labelled particles that do not touch the edge [nm]."""
    areas = np.bincount(labels.ravel())
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    areas[np.append(edge, 0)] = 0
    return _diameters(areas[areas > 0], pixel_nm)


def _diameters(areas: np.ndarray, pixel_nm: float) -> np.ndarray:
    return 2 * np.sqrt(areas / np.pi) * pixel_nm


# ── Files ────────────────────────────────────────────────────────────────────────────────────────


def results_file(arm: Arm, folder: Path, number: int) -> Path:
    """Return the file of what the networks of a training condition found."""
    return folder / arm.name / "fields" / f"{number}.npz"


def run(
    arm: Arm,
    folder: Path,
    fields: Fields,
    numbers: Sequence[int],
    part: tuple[int, int] = (0, 1),
    trains: bool = False,
) -> None:
    """Let the networks of an arm see the fields, where results are lacking.

    A line is appended to the folder's table of costs.

    Args:
        numbers: Those of the training conditions.
        part: (k, n): of these, those whose place modulo n is k.
        trains: Whether networks are trained that are missing.

    Raises:
        PassbandError: If networks are missing and must not be trained, or results are those of
            something else.
    """
    has_head = arm.study.training.architecture(arm.architecture).head is not None
    decode = by_head(arm) if has_head else by_rule
    with networks.running(f"{arm.name}, fields", folder, len(numbers), part) as at:
        for number in (int(numbers[place]) for place in at.numbers):
            if read(arm, folder, fields, number) is None:
                weights = networks.weights_file(arm, folder, number)
                if not trains and not weights.exists():
                    raise PassbandError(f"{weights}: is missing; train the networks first")
                _see(arm, folder, fields, number, decode)
                at.made += len(arm.replicas)


def _see(arm: Arm, folder: Path, fields: Fields, number: int, decode: Decode) -> None:
    """Let the networks of a training condition see the fields, and write what they found."""
    cell = networks.trained(arm, folder, number)
    modules = [*networks.restored(arm, cell).values()]
    precision = cell.metadata.precision
    arrays = fields.seen_by(modules, precision, decode)
    own = replace(fields, tests=(arm.conditions[number],), shared=SharedImages(limit=0))
    arrays["home_particles"] = own.seen_by(modules, precision, decode)["particles"][:, 0]
    arrays["recipe"] = np.array(_recipe(arm, fields, number))
    path = results_file(arm, folder, number)
    path.parent.mkdir(exist_ok=True)
    with atomic.replacing(path) as beside:
        np.savez_compressed(beside, allow_pickle=False, **arrays)


def read(arm: Arm, folder: Path, fields: Fields, number: int) -> dict[str, np.ndarray] | None:
    """Return what the networks of a training condition found, or None if that is not known."""
    path = results_file(arm, folder, number)
    if not path.exists():
        return None
    found = read_arrays(path)
    if str(found.pop("recipe")) != _recipe(arm, fields, number):
        raise PassbandError(f"{path}: was made of other networks or fields; remove it")
    return found


def _recipe(arm: Arm, fields: Fields, number: int) -> str:
    return digest(arm.recipe(number), fields.recipe)


def results(arm: Arm, folder: Path, fields: Fields, numbers: Iterable[int]) -> xr.Dataset:
    """Return what the networks of training conditions found.

    Returns:
        `particles` (condition, replica, test, structure, truth, number), `apart` (condition,
        replica, test), see :meth:`Fields.seen_by`, and `home_particles` (condition, replica,
        structure, truth, number), those of fields under the networks' own condition.

    Raises:
        PassbandError: If results are missing.
    """
    numbers = [*numbers]
    found = [read(arm, folder, fields, number) for number in numbers]
    known = [each for each in found if each is not None]
    if lacking := len(found) - len(known):
        raise PassbandError(
            f"{folder / arm.name / 'fields'}: has no results of {lacking} of {len(found)} training "
            "conditions; test them first"
        )
    cell = "condition", "replica", "test"
    of_image = "structure", "truth", "number"
    dims = {
        "particles": (*cell, *of_image),
        "apart": cell,
        "home_particles": ("condition", "replica", *of_image),
    }
    arrays = {name: (of, np.stack([each[name] for each in known])) for name, of in dims.items()}
    coords = {"condition": [arm.conditions[number].id for number in numbers]}
    coords |= {"replica": list(arm.replicas), "test": [test.id for test in fields.tests]}
    return xr.Dataset(arrays, coords)
