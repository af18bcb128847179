"""Reads a study's images to know how far its networks can be trusted on other images.

For a network, or for replicas that are used together, the training images are described, see
:mod:`passband.micrographs.trust.likeness`, and the network is tried on the study's test images.
From the scores and the Dice of these test images, :mod:`passband.prediction.recommend.image_dice`
learns the Dice of an image without ground truth. This takes minutes, and is done once: when a
network is published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from passband.axes import AXES, MAIN_AXES
from passband.config.drawn import highest, is_range
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split
from passband.learning.network_files import Network
from passband.learning.network_sizes import bytes_per_pixel
from passband.learning.torch_model import TorchModel
from passband.micrographs.images.background import take_off
from passband.micrographs.images.fields import thinned
from passband.micrographs.trust import likeness
from passband.micrographs.trust.certainty import (
    evenness,
    probabilities,
    ratio,
    sureness,
    symmetry,
)
from passband.micrographs.trust.distortions import DISTORTIONS
from passband.micrographs.trust.likeness import DESCRIPTIONS, Reference
from passband.micrographs.trust.trust import WELL, Own, Trust, relative_scores
from passband.network_id import NetworkId
from passband.prediction.recommend import image_dice
from passband.results import Results
from passband.scores import dice_of_masks
from passband.wave_sets import wave_set

#: Largest numbers of structures of the splits for training and for validation, of test conditions,
#: and of test structures of each specimen. The larger numbers of a larger study are thinned out.
TRAINING, CONDITIONS, STRUCTURES = 256, 24, 16
#: The same numbers, below which they are not reduced for large networks and large images.
_FEWEST = (64, 8, 6)
#: Bytes of the features of an image from which on these numbers are reduced: four times those of an
#: image of the demo.
_BYTES = 4 * 608 * 128**2
#: The part of the images on which a network does well that may be beyond a limit of a distance.
_BEYOND = 0.02


@dataclass(frozen=True)
class Measured:
    """Networks of one training condition on images whose Dice is known.

    Attributes:
        own: The networks on validation images of the training condition.
        places: For each image, the test specimen, the id of the test condition, and the distortion
            or an empty text.
        raw: The scores of each image, (n,), before they are compared with the training: those of
            :data:`DESCRIPTIONS`, and confidence, agreement, symmetry, area and evenness.
        dice: (n,).
    """

    networks: tuple[NetworkId, ...]
    reference: Reference
    own: Own
    places: list[tuple[str, str, str]]
    raw: dict[str, np.ndarray]
    dice: np.ndarray

    @property
    def in_matrix(self) -> np.ndarray:
        """Which images are not distorted, (n,) bool array."""
        return np.array([not distortion for *_, distortion in self.places])

    def limits(self, included: np.ndarray) -> dict[str, float]:
        """Return the largest distance of each description at which the networks do well.

        The entry `evenness` is the smallest agreement with the image without its smooth part.

        Args:
            included: (n,) bool, the images that are used. Distorted images are never used.
        """
        well = included & self.in_matrix & (self.dice >= WELL * self.own.dice)
        result = {}
        for name in DESCRIPTIONS:
            # Training images are not flagged, whatever their Dice is.
            found = np.quantile(self.raw[name][well], 1 - _BEYOND) if well.any() else 0.0
            result[name] = max(float(found), self.reference.limit(name))
        even = self.raw["evenness"][well]
        result["evenness"] = float(np.quantile(even, _BEYOND)) if well.any() else 0.0
        return result

    def scores(self, included: np.ndarray) -> dict[str, np.ndarray]:
        """Return the scores of all images, with the limits of :meth:`limits`."""
        return relative_scores(self.raw, self.own, self.limits(included))

    def folds(self) -> list[np.ndarray]:
        """Return the images that are left out together for the intervals, each a (n,) bool array.

        A fold has all images of one value of one axis, of one test specimen, or of one distortion.
        A value that all images have makes no fold.
        """
        kinds = [[distortion or specimen for specimen, _, distortion in self.places]]
        for axis in AXES:
            kinds.append(
                [
                    "" if distortion else _level(Condition.parse(id), axis)
                    for _, id, distortion in self.places
                ]
            )
        folds = []
        for names in kinds:
            values = [name for name in dict.fromkeys(names) if name]
            if len(values) > 1:
                folds += [np.array([own == value for own in names]) for value in values]
        return folds


class StudyImages:
    """The images of a study, which are formed when they are needed.

    Args:
        results: The study, with its exit waves.
        normalisation, architecture: The normalisation and the architecture of the networks.
    """

    def __init__(self, results: Results, normalisation: str, architecture: str):
        self.results = results
        self.study = study = results.study
        # A network that is trained on squares of its images knows images of that size.
        self.side = getattr(study.training, "crop_px", 0) or study.microscope.field_px
        of_pixel = bytes_per_pixel(study.training.architecture(architecture))
        ratio = _BYTES / (of_pixel * study.microscope.field_px**2)
        self._training, self._conditions, self._structures = (
            min(most, max(fewest, round(most * ratio)))
            for most, fewest in zip((TRAINING, CONDITIONS, STRUCTURES), _FEWEST, strict=True)
        )
        #: The part of the frequencies of the pixels that all images show. Beyond, those that are
        #: stored with larger pixels have nothing, and others much: this is no normal distribution.
        stored = study.microscope.detector.noise.stored_pixel_A
        sides = study.microscope.pixel_size_A, highest(stored)
        self._shown = sides[0] / max(sides) if is_range(stored) else 1.0
        self._cpu = torch.device("cpu")
        self.acquisition = Acquisition.from_microscope(study.microscope, normalisation, self._cpu)
        self._splits: dict[tuple[str, str, str], Split] = {}

    def split(self, specimen: str, name: str, condition: Condition) -> Split:
        """Return the first structures of a split, with the exit waves of a condition.

        Raises:
            StoreError: If the exit waves are missing or damaged.
        """
        key = specimen, name, wave_set(condition)
        if key not in self._splits:
            most = self._structures if name == "test" else self._training
            structures = self.results.structures(specimen, name, [key[-1]], first=most)
            self._splits[key] = structures.load(self._cpu).under(condition).first(most)
        return self._splits[key]

    def images(
        self, specimen: str, name: str, condition: Condition
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return counts, normalised images and masks of a split, (n, px, px) each."""
        split = self.split(specimen, name, condition)
        counts = torch.cat(list(self.acquisition.counts(split, condition)))
        inputs = self.acquisition.normalised(counts, condition)
        return counts.numpy(), inputs.numpy(), split.masks[:, 0].numpy() > 0.5

    def measure(self, networks: Sequence[Network]) -> Measured:
        """Return how networks do on training images, test images and distorted images.

        Args:
            networks: Networks of one specimen, architecture and training condition: one network, or
                replicas that are used together.
        """
        specimen, condition = networks[0].metadata.specimen, networks[0].condition
        train, val = (self.images(specimen, name, condition) for name in ("train", "val"))
        counts, inputs, masks = (np.concatenate(each) for each in zip(train, val, strict=True))
        described, number = self._described(networks, counts, inputs)
        structures = np.repeat(np.arange(len(counts)), number)
        reference = Reference.of(self.side, described, structures)
        raw, found = _predicted(networks, *val[1:], self.side)
        area = float(masks.mean((1, 2)).max())
        own = Own(
            float(found.mean()),
            float(np.median(raw["confidence"])),
            float(np.median(raw["agreement"])),
            float(np.median(raw["symmetry"])),
            area,
        )
        places, parts = [], []
        for place in self._places(specimen, condition):
            images = self._test_images(networks, *place)
            raw, found = _predicted(networks, *images[1:], self.side)
            described, number = self._described(networks, *images[:2])
            for name, distances in reference.distances(described).items():
                raw[name] = np.array(
                    [likeness.of_windows(d) for d in distances.reshape(-1, number)]
                )
            places += [place] * len(found)
            parts.append(raw | {"dice": found})
        every = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        ids = tuple(network.id for network in networks)
        return Measured(ids, reference, own, places, every, every.pop("dice"))

    def _described(
        self, networks: Sequence[Network], counts: np.ndarray, inputs: np.ndarray
    ) -> tuple[dict[str, np.ndarray], int]:
        """Return the descriptions of all windows of images, and the number of windows of each."""
        models = [TorchModel(each.module, each.architecture) for each in networks]
        # Few windows at a time fit into the cache of the processor.
        step, parts = max(1, 2**19 // counts[0].size), []
        for start in range(0, len(counts), step):
            each = [
                np.concatenate([likeness.windows(image, self.side) for image in images])
                for images in (counts[start : start + step], inputs[start : start + step])
            ]
            parts.append(likeness.describe(models, *each))
        described = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rings = described["spectrum"].shape[1]
        described["spectrum"] = described["spectrum"][:, : int(self._shown * rings)]
        return described, len(described["spectrum"]) // len(counts)

    def _places(self, specimen: str, own: Condition) -> list[tuple[str, str, str]]:
        number = max(4, self._conditions // len(self.study.specimens))
        conditions = thinned(self.study.test_conditions, number)
        matrix = [(s, c.id, "") for s, c in product(self.study.specimens, conditions)]
        matrix = list(dict.fromkeys([(specimen, own.id, ""), *matrix]))
        return matrix + [(specimen, own.id, name) for name in DISTORTIONS]

    def _test_images(
        self, networks: Sequence[Network], specimen: str, id: str, distortion: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return counts, normalised images and masks of the test structures.

        The background of distorted images is taken off, as `passband predict` does.
        """
        condition = Condition.parse(id)
        counts, inputs, masks = self.images(specimen, "test", condition)
        if not distortion:
            return counts, inputs, masks
        pairs = [DISTORTIONS[distortion](*each) for each in zip(counts, masks, strict=True)]
        pixel_A = networks[0].pixel_size_A
        counts = np.stack([take_off(each, pixel_A, networks)[0] for each, _ in pairs])
        masks = np.stack([mask for _, mask in pairs])
        inputs = self.acquisition.normalised(torch.from_numpy(counts), condition)
        return counts, inputs.numpy(), masks


def calibrate(measured: Measured, ctf: np.ndarray | None = None) -> Trust:
    """Return everything that is needed to assess images of the measured networks.

    Args:
        ctf: (n,), the Dice that the study's model expects for each image, without having seen the
            image's test condition.
    """
    every = np.ones(len(measured.dice), bool)
    names = [name for name in image_dice.SCORES if name != "ctf"]
    if len(measured.networks) == 1:
        names.remove("disagreement")
    calibrations = {"plain": _fitted(measured, names, None)}
    if ctf is not None:
        calibrations["ctf"] = _fitted(measured, [*names, "ctf"], ctf)
    return Trust(
        measured.networks, measured.reference, measured.own, measured.limits(every), calibrations
    )


def _fitted(
    measured: Measured, names: Sequence[str], ctf: np.ndarray | None
) -> image_dice.Calibration:
    own = np.full(len(measured.dice), measured.own.dice)
    folds, is_outside = measured.folds(), ~measured.in_matrix

    def scores(included: np.ndarray) -> dict[str, np.ndarray]:
        found = measured.scores(included)
        if ctf is not None:
            found["ctf"] = image_dice.ctf_score(own, ctf)
        return found

    return image_dice.fit(names, own, scores, measured.dice, folds, is_outside)


def _predicted(
    networks: Sequence[Network], inputs: np.ndarray, masks: np.ndarray, side: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the scores of each image that are no distances, and Dice."""
    models = [TorchModel(each.module, each.architecture) for each in networks]
    found = []
    for image, mask in zip(inputs, masks, strict=True):
        every = probabilities(models, image[None])
        raw = sureness(every[0, :, 0], side)
        raw["symmetry"] = float(ratio(*symmetry(every))[0])
        raw["evenness"] = evenness(models, image, side)
        raw["dice"] = dice_of_masks(every[0, :, 0].mean(0) > 0.5, mask)
        found.append(raw)
    scores = {name: np.array([each[name] for each in found]) for name in found[0]}
    return scores, scores.pop("dice")


def _level(condition: Condition, axis: str) -> str:
    """Return a condition's value of an axis; "" for the study's own value of a further axis."""
    known = axis in MAIN_AXES or axis in dict(condition.further)
    return f"{condition.value(axis):g}" if known else ""
