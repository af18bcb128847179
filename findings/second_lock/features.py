"""`mmd` and `cka`: what distances between features of the trained networks predict.

The features of a network are the coarsest output of its encoder, before the decoder. They are those
of replica 0, for structures 0 to 15 of the validation split, under its training condition and under
a test. One isotonic map leads from a distance to Dice; it is fitted to the cells of the old tests,
whose Dice is that of the replicas that are known. Passband computed such distances until 0.3.0.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split
from passband.learning import devices
from passband.learning.networks import encoded

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


@torch.inference_mode()
def features(network: torch.nn.Module, images: torch.Tensor, precision: str) -> torch.Tensor:
    """Return the coarsest output of a network's encoder, (n, channels, h, w) float32.

    Args:
        network: A network from :func:`passband.learning.networks.build`, ready to predict.
        images: (n, 1, px, px) float32, the images that are the network's input.
        precision: A precision of networks that the device supports; see
            :func:`passband.learning.devices.precision`.
    """
    with devices.autocast(precision, images.device):
        return encoded(network, images)[-1].float()


def mmd(x: np.ndarray, y: np.ndarray, width: float) -> float:
    """Return the unbiased squared maximum mean discrepancy (MMD) of two sets of samples.

    The estimate is the U-statistic of Gretton et al. 2012, eq. 4
    (jmlr.org/papers/v13/gretton12a.html): 1/(n(n−1)) Σ_{a≠b} [k(x_a, x_b) + k(y_a, y_b) − k(x_a,
    y_b) − k(x_b, y_a)], with the Gaussian kernel k(x, y) = exp(−|x − y|²/2s²). Pairs of samples
    with the same index (a = b) are left out, so x_a and y_a may be images of the same structure. If
    the distributions of x and y are equal, the mean of the estimate is 0, so single estimates can
    be negative.

    Args:
        x, y: (n, d), the two sets of samples, with two or more samples each.
    """

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-_squared(a, b) / (2 * width**2))

    between = kernel(x, y)
    h = kernel(x, x) + kernel(y, y) - between - between.T
    n = len(x)
    return float((h.sum() - np.trace(h)) / (n * (n - 1)))


def median_distance(x: np.ndarray) -> float:
    """Return the median distance between samples (n, d): Gretton et al.'s width of the kernel."""
    return float(np.sqrt(np.median(_squared(x, x)[np.triu_indices(len(x), 1)])))


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return squared distances (n, m) between samples (n, d) and (m, d)."""
    return np.maximum(0.0, (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T)


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Return the linear centred kernel alignment (CKA) of two representations of the same examples.

    CKA is ‖YᵀX‖²/(‖XᵀX‖·‖YᵀY‖) of centred features, with Frobenius norms (Kornblith et al. 2019,
    eq. 4 and section 3, arXiv:1905.00414). Rotating or scaling the features of x or of y does not
    change CKA.

    Args:
        x, y: (n, d) and (n, e), the two representations: features of the same n examples.

    Returns:
        CKA, from 0 to 1; NaN if all features of x, or all features of y, are constant.
    """
    x = x - x.mean(0)
    y = y - y.mean(0)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms > 0 else float("nan")


def _pooled(maps: torch.Tensor) -> np.ndarray:
    """Return the means of feature maps over pixels, (n, channels)."""
    return maps.mean((2, 3)).numpy().astype(float)


def _examples(maps: torch.Tensor) -> np.ndarray:
    """Return the features of every pixel, (pixels of all images, channels)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2).numpy()
