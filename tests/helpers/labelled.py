"""Labelled images of two discs, and a network that tuning lets find them."""

import json
from pathlib import Path

import numpy as np
from recommended import make_study
from synthetic import weights_metadata
from thresholds import CONDITION, NAME, image_of, mask_of_discs, threshold_weights

from passband.learning.network_files import Network, open_networks
from passband.storage import weights as files

SHAPE = 64, 72
RADIUS = 8
PIXEL_A = 0.3
#: The rows and columns of two discs in each image; all discs have as many pixels.
PLACES = [
    ((15, 15), (45, 50)),
    ((20, 55), (50, 12)),
    ((32, 20), (30, 52)),
    ((12, 36), (52, 40)),
    ((18, 25), (40, 58)),
]


def mask(number: int) -> np.ndarray:
    """Return the discs of an image."""
    return mask_of_discs(SHAPE, *((*place, RADIUS) for place in PLACES[number]))


def write_images(folder: Path, number: int) -> None:
    """Write images and masks into the folders `images` and `labels`, as NPY files."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for k in range(number):
        np.save(folder / f"images/{k}.npy", image_of(mask(k), k))
        np.save(folder / f"labels/{k}.npy", mask(k).astype(np.uint8))


def write_network(path: Path, lacks: float = 0.5, replicas: int = 1) -> Path:
    """Write the weights of a network that finds nothing in the images.

    Args:
        lacks: How much is lacking to the logit of a pixel in a disc.
    """
    state = threshold_weights(0)
    part = mask(0).mean()
    bright = ((1 - part) / part) ** 0.5  # the normalised grey value in the discs
    state["head.weight"][0, 0] = 1
    state["head.bias"][0] = -bright - lacks
    configuration = make_study().written()
    configuration["microscope"]["pixel_size_A"] = PIXEL_A
    given = {
        "architecture": NAME,
        "condition": CONDITION,
        "provenance": {"study": "known", "configuration": json.dumps(configuration)},
    }
    numbers = tuple(range(replicas))
    files.save(dict.fromkeys(numbers, state), path, weights_metadata(numbers, **given))
    return path


def network(folder: Path) -> Network:
    """Return the network, whose file is written into a folder."""
    (found,) = open_networks(write_network(folder / "network.safetensors"))
    return found
