"""`mmd` and `cka`: what distances between features of the trained networks predict.

The features are those of replica 0, for structures 0 to 15 of the validation split, under its
training condition and under a test. One isotonic map leads from a distance to Dice; it is fitted to
the cells of the old tests, whose Dice is that of the replicas that are known.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from passband.analysis.distances import cka, features, median_distance, mmd
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split

#: Whether Dice rises with the distance.
RISES = {"mmd": False, "cka": True}


def measured(
    network: torch.nn.Module, own: torch.Tensor, images: Iterable[torch.Tensor], precision: str
) -> dict[str, np.ndarray]:
    """Return the distances of a network's features of its own images to those of tests.

    Args:
        own: (n, 1, px, px), images of structures under the training condition.
        images: Those of the same structures under each test.

    Returns:
        `mmd` and `cka`, each (test,).
    """
    home = features(network, own, precision)
    x = _pooled(home)
    of_home = _examples(home)
    width = median_distance(x)
    found: dict[str, list[float]] = {name: [] for name in RISES}
    for each in images:
        there = features(network, each, precision)
        found["mmd"].append(mmd(x, _pooled(there), width) if width > 0 else np.nan)
        found["cka"].append(cka(of_home, _examples(there)))
    return {name: np.array(of) for name, of in found.items()}


def images(
    acquisition: Acquisition, split: Split, conditions: Sequence[Condition]
) -> list[torch.Tensor]:
    """Return the images of a split under each condition, (n, 1, px, px) each."""
    return [acquisition.images(split, condition) for condition in conditions]


def _pooled(maps: torch.Tensor) -> np.ndarray:
    """Return the means of feature maps over pixels, (n, channels)."""
    return maps.mean((2, 3)).numpy().astype(float)


def _examples(maps: torch.Tensor) -> np.ndarray:
    """Return the features of every pixel, (pixels of all images, channels)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2).numpy()
