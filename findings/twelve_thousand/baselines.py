"""The simplest methods on the test images of studies/twelve-thousand.yaml, beside its networks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from findings.twelve_thousand.pieces import DATA, WHOLE, append
from passband import PassbandError
from passband.config import Study, load
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.scores import dice
from passband.specimens import exit_waves

#: Standard deviations of the blur [pixels], and thresholds in standard deviations of the image.
BLURS_PX = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
THRESHOLDS = np.round(np.arange(-1.5, 3.01, 0.1), 1)
SIGNS = {"bright": 1, "dark": -1}


@dataclass(frozen=True)
class Rule:
    """A blur and a threshold: particles are where the blurred image is above the threshold.

    Attributes:
        blur_px: Standard deviation of the blur [pixels].
        sign: Whether particles are bright or dark.
        threshold: The threshold, in standard deviations of the blurred image from its mean.
    """

    blur_px: float
    sign: str
    threshold: float

    def masks(self, images: np.ndarray) -> np.ndarray:
        """Return the masks (n, px, px) bool of images (n, px, px)."""
        return SIGNS[self.sign] * blurred(images, self.blur_px) > self.threshold


def blurred(images: np.ndarray, blur_px: float) -> np.ndarray:
    """Return blurred images, each with mean 0 and standard deviation 1. Images are periodic."""
    smooth = ndimage.gaussian_filter(images, (0, blur_px, blur_px), mode="wrap")
    smooth = smooth - smooth.mean((1, 2), keepdims=True)
    deviation = smooth.std((1, 2), keepdims=True)
    return smooth / np.where(deviation > 0, deviation, 1)


def dice_of(masks: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the Dice of each mask (…, px, px) bool; 1 if nothing is there and nothing is found."""
    tp, fp, fn = masks & truth, masks & ~truth, ~masks & truth
    return dice(np.stack([each.sum((-2, -1)) for each in (tp, fp, fn)], axis=-1))


def best_rule(images: np.ndarray, truth: np.ndarray) -> tuple[Rule, float]:
    """Return the rule with the highest mean Dice on images, and this Dice.

    Args:
        images: (n, px, px).
        truth: (n, px, px) bool, where particles are.
    """
    found = []
    for blur in BLURS_PX:
        smooth = blurred(images, blur)
        for sign, factor in SIGNS.items():
            masks = factor * smooth[:, None] > THRESHOLDS[:, None, None]
            means = dice_of(masks, truth[:, None]).mean(0)
            k = int(means.argmax())
            found.append((float(means[k]), Rule(blur, sign, float(THRESHOLDS[k]))))
    score, rule = max(found, key=lambda each: each[0])
    return rule, score


def splits(study: Study) -> dict[str, Split]:
    """Return the validation structures and the test structures of the study's only specimen.

    Raises:
        PassbandError: If the study has several specimens.
    """
    if len(study.specimens) > 1:
        raise PassbandError(f"{study.study.name}: has several specimens; give a study of one")
    (name, specimen), of = next(iter(study.specimens.items())), study.study
    made = {}
    for split in ("val", "test"):
        indices = range(getattr(of.structures, split))
        waves = exit_waves.simulate(name, specimen, study.microscope, of.seed, split, indices)
        structures = Structures(of.seed, name, split, study.microscope)
        made[split] = Split.from_dataset(waves, structures, torch.device("cpu"))
    return made


def scores(study: Study) -> Iterator[dict[str, str]]:
    """Yield the Dice of the simplest methods under each test condition.

    The rule of each test condition is the best on the validation structures under this condition,
    whose images have other structures and another noise than the test images. A network has no
    such knowledge of other conditions than its training condition.
    """
    acquisition = Acquisition.from_microscope(
        study.microscope, study.training.normalisation, torch.device("cpu")
    )
    of = splits(study)
    truth = {name: split.masks[:, 0].numpy() > 0.5 for name, split in of.items()}
    everything = dice_of(np.ones_like(truth["test"]), truth["test"]).mean()

    def images(name: str, condition: Condition) -> np.ndarray:
        return acquisition.images(of[name], condition)[:, 0].numpy()

    for condition in study.test_conditions:
        rule, _ = best_rule(images("val", condition), truth["val"])
        found = dice_of(rule.masks(images("test", condition)), truth["test"]).mean()
        yield {
            "test": condition.id,
            "blur_px": f"{rule.blur_px:g}",
            "particles": rule.sign,
            "threshold": f"{rule.threshold:g}",
            "dice": f"{found:.4f}",
            "everything": f"{everything:.4f}",
        }


def write(whole: Path = WHOLE, folder: Path = DATA) -> int:
    """Write the table ``baselines.csv`` beside the page, and return the exit status 0."""
    path, rows = folder / "baselines.csv", list(scores(load(whole)))
    path.unlink(missing_ok=True)
    for row in rows:
        append(path, row)
    print(path)
    return 0
