"""Fields as large as a study's images, cut from images of a microscope that were prepared for it.

Images are prepared as networks of the study would see them, except that bars are refused, and noise
that no image of the study has: a power spectrum would take both for the microscope.
"""

from collections.abc import Sequence
from itertools import product
from typing import TypeVar

import numpy as np

from passband.config import Microscope
from passband.errors import PassbandError
from passband.micrographs.images import background, bars, own_noise, preparation
from passband.micrographs.images.pixel_size import TOLERANCE
from passband.micrographs.images.readers import Micrograph

T = TypeVar("T")


def fields(found: Micrograph, microscope: Microscope, most: int) -> np.ndarray:
    """Return fields of a file's images at regular distances, (n, px, px) float32.

    Args:
        microscope: That of the study.
        most: Largest number of images, and of fields.

    Raises:
        PassbandError: If the pixels are too large, if an image is smaller than a field, or has a
            bar, a frame, repeated pixels, or averaged noise while the study's noise is white.
    """
    largest = microscope.detector.noise.finest_A(microscope.pixel_size_A)
    if found.pixel_size_A > (1 + TOLERANCE) * largest:
        raise PassbandError(
            f"{found.path}: has pixels of {found.pixel_size_A:.4g} Å; must be at most {largest:g} "
            "Å, since larger ones do not show all frequencies of the study's images"
        )
    images = [_prepared(found, image, microscope) for image in thinned(found.images, most)]
    px = microscope.field_px
    height, width = images[0].shape
    if min(height, width) < px:
        raise PassbandError(
            f"{found.path}: has {height} × {width} pixels of {microscope.pixel_size_A:g} Å; must "
            f"have {px} × {px} or more, as the study's images"
        )
    corners = list(product(images, range(0, height - px + 1, px), range(0, width - px + 1, px)))
    return np.stack(
        [i[top : top + px, left : left + px] for i, top, left in thinned(corners, most)]
    )


def thinned(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items at regular distances."""
    if len(items) <= most:
        return list(items)
    places = np.linspace(0, len(items) - 1, most).round().astype(int)
    return [items[place] for place in places]


def _prepared(found: Micrograph, image: np.ndarray, microscope: Microscope) -> np.ndarray:
    """Return an image as networks of the study would see it, with the study's pixels."""
    path, pixel_A = found.path, found.pixel_size_A
    if (box := bars.inside(image)).shape != image.shape:
        raise PassbandError(
            f"{path}: has a bar or a frame at its edge; give the image without it, {box}"
        )
    if own_noise.is_repeated(image):
        raise PassbandError(f"{path}: was enlarged by repeating its pixels; give the first image")
    slope, noise = own_noise.slope(image, pixel_A), microscope.detector.noise
    if noise.is_white and slope is not None and slope <= own_noise.WHITE_ABOVE:
        raise PassbandError(
            f"{path}: its noise was averaged (slope {slope:.1f}), and the study's noise is white"
        )
    image, _ = background.of_microscope(preparation.remove_hot_pixels(image), pixel_A, microscope)
    image = preparation.resample(image, pixel_A, microscope.pixel_size_A)
    wanted, _ = own_noise.treatment(noise, pixel_A, slope)
    return preparation.filter_noise(image, microscope.pixel_size_A, wanted) if wanted else image
