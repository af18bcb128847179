"""Masks are compared with their ground truth."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from passband import scores
from passband.errors import PassbandError
from passband.micrographs.images import readers
from passband.micrographs.images.suffixes import companions, suffix
from passband.storage import StoreError, integrity, json_text
from passband.units import A_PER_NM
from passband.words import number_of

#: An image whose ground truth covers less than this fraction of it is not part of the mean Dice: a
#: few wrong pixels decide about its Dice.
EMPTY = 0.01


@dataclass(frozen=True)
class Score:
    """How the mask of one image agrees with its ground truth.

    Attributes:
        counts: Numbers of pixels in the order of :data:`passband.scores.OUTCOMES`.
        pixel_nm2: The area of a pixel [nm²].
    """

    counts: tuple[int, int, int]
    pixel_nm2: float
    pixels: int

    @property
    def true_fraction(self) -> float:
        """The part of the image that is in particles by the ground truth."""
        return float(self.counts[0] + self.counts[2]) / self.pixels

    @property
    def is_empty(self) -> bool:
        """Whether the ground truth has hardly any particle, see :data:`EMPTY`."""
        return self.true_fraction < EMPTY

    @property
    def dice(self) -> float:
        """The Dice score."""
        return float(scores.dice(np.array(self.counts)))

    @property
    def false_positive_nm2(self) -> float:
        """The area of pixels that are wrongly predicted to be in a particle [nm²]."""
        return float(self.counts[1]) * self.pixel_nm2

    def __str__(self) -> str:
        if self.is_empty:
            part = self.true_fraction
            truth = f"truth covers {part:.2%}" if part else "empty truth"
            return f"{truth}, false-positive area {self.false_positive_nm2:.4g} nm²"
        counts = np.array(self.counts)
        precision = scores.precision(counts)
        recall = scores.recall(counts)
        return f"Dice {self.dice:.3f}, precision {precision:.3f}, recall {recall:.3f}"


def score(mask: np.ndarray, true: np.ndarray, pixel_size_A: float) -> Score:
    """Return the score of a mask.

    Args:
        mask, true: (height, width) bool, the predicted mask, and the ground truth.
    """
    counts = scores.counts_of_masks(mask, true)
    return Score(tuple(counts.tolist()), (pixel_size_A / A_PER_NM) ** 2, mask.size)


def lines(found: Sequence[tuple[str, Score]]) -> list[str]:
    """Return the lines about images with a ground truth. The mean Dice is in the last line.

    Images whose truth is (nearly) empty, see :data:`EMPTY`, are not part of the mean. They are
    listed with the area that is wrongly predicted to be in particles.

    Args:
        found: The name of each image, and its score.
    """
    full = [score.dice for _, score in found if not score.is_empty]
    said = [f"not in the mean: {name}, {score}" for name, score in found if score.is_empty]
    if not full:
        return [*said, f"no mean Dice: no image has a truth that covers {EMPTY:.0%} of it or more"]
    return [*said, f"mean Dice {np.mean(full):.3f} over {number_of(len(full), 'image')}"]


def mask_of(path: Path, truth: Path) -> Path:
    """Return the mask of a file in a folder of masks.

    The mask has the name of the file, or the same name with another suffix.

    Raises:
        PassbandError: If there is none, or if the file itself is in that folder.
    """
    for found in companions(path, truth):
        if not found.exists():
            continue
        if found.samefile(path) and suffix(path) != ".zarr":
            raise PassbandError(f"{path}: is in the folder of masks {truth}; give another folder")
        return found
    raise PassbandError(f"{path}: there is no mask {path.name} in {truth}")


def is_of_study(path: Path) -> bool:
    """Return whether a file is a study's store of simulated images."""
    if suffix(path) == ".zarr":
        from passband.storage import datasets  # xarray and zarr take a second to import

        with contextlib.suppress(OSError, ValueError, KeyError, AttributeError, StoreError):
            integrity.check_regular(path)
            root = json_text.read(path / "zarr.json")
            return root["attributes"].get("kind") == datasets.IMAGES
    return False


def read(path: Path) -> np.ndarray:
    """Return a mask, (frames, height, width) bool. A study's store of images has its own masks."""
    if is_of_study(path):
        from passband.storage import datasets

        return datasets.read(path, datasets.IMAGES, ["mask"])["mask"].values > 0
    return readers.read_mask(path)
