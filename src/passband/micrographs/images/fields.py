"""Fields as large as a network's training images, cut from images that were prepared for it."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.images import background, bars, own_noise, preparation
from passband.micrographs.images.pixel_size import TOLERANCE
from passband.micrographs.images.readers import Micrograph

if TYPE_CHECKING:
    from passband.micrographs.models.network import Network

T = TypeVar("T")


def fields(found: Micrograph, network: "Network", most: int) -> np.ndarray:
    """Return fields of the images of a file at regular distances, (n, px, px) float32.

    Args:
        network: A network that the images are prepared for, as `passband predict` does.
        most: Largest number of images, and of fields.

    Raises:
        PassbandError: If the pixels are too large, if an image is smaller than a field, or has what
            no training image has: a bar, a frame, repeated pixels, or averaged noise in place of
            white noise.
    """
    if found.pixel_size_A > (1 + TOLERANCE) * network.finest_A:
        raise PassbandError(
            f"{found.path}: has pixels of {found.pixel_size_A:.4g} Å; must be at most "
            f"{network.finest_A:g} Å, to show all frequencies of the study's images"
        )
    images = [_prepared(found, image, network) for image in thinned([*found.images], most)]
    px = network.field_px
    height, width = images[0].shape
    if min(height, width) < px:
        raise PassbandError(
            f"{found.path}: has {height} × {width} pixels of {network.pixel_size_A:g} Å; must have "
            f"{px} × {px} or more, as the study's images"
        )
    rows, columns = (range(0, side - px + 1, px) for side in (height, width))
    places = thinned(list(product(images, rows, columns)), most)
    return np.stack([image[y : y + px, x : x + px] for image, y, x in places])


def thinned(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items at regular distances."""
    if len(items) <= most:
        return list(items)
    places = np.linspace(0, len(items) - 1, most).round().astype(int)
    return [items[place] for place in places]


def _prepared(found: Micrograph, image: np.ndarray, network: "Network") -> np.ndarray:
    """Return an image as the network would see it, with the network's pixels."""
    path = found.path
    pixel_A = found.pixel_size_A
    slope = own_noise.slope(image, pixel_A)
    noise = network.noise
    if (box := bars.inside(image)).shape != image.shape:
        raise PassbandError(f"{path}: has a bar or a frame; give the image without it, {box}")
    if own_noise.is_repeated(image):
        raise PassbandError(f"{path}: was enlarged by repeating its pixels; give the first image")
    if noise.is_white and slope is not None and slope <= own_noise.WHITE_ABOVE:
        raise PassbandError(
            f"{path}: its noise was averaged (slope {slope:.1f}), and the study's noise is white"
        )
    image = preparation.remove_hot_pixels(image)
    image, _ = background.take_off(image, pixel_A, [network])
    image = preparation.resample(image, pixel_A, network.pixel_size_A)
    wanted, _ = own_noise.treatment(noise, pixel_A, slope)
    return preparation.filter_noise(image, network.pixel_size_A, wanted) if wanted else image
