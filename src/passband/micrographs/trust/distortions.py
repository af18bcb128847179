"""Distorted images with known masks, which show how networks do on images that no lens forms.

The matrix of a study has images of the same specimens, pixels and camera under other conditions.
Real images differ in more ways. The distortions of this module give examples of such differences,
for which the Dice can be measured.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from passband.micrographs.images.preparation import resample
from passband.micrographs.images.tiles import window

#: How much larger or smaller the image becomes. It is not a factor that users often get wrong.
FACTOR = 1.5
#: Standard deviation of the blur [pixels].
BLUR = 1.0
#: How much the illumination changes from the middle of the image to an edge.
SLOPE = 0.5
#: How much darker the corners are than the middle [standard deviations of the image].
VIGNETTE = 2.0


def magnified(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of an image, enlarged to the same number of pixels."""
    side = image.shape[0]
    inner = round(side / FACTOR)
    start = (side - inner) // 2
    part = np.s_[start : start + inner, start : start + inner]
    return _scaled(image[part], side), _scaled_mask(mask[part], side)


def reduced(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with fewer pixels, continued by its mirror image."""
    side = image.shape[0]
    smaller = round(side / FACTOR)
    parts = _scaled(image, smaller), _scaled_mask(mask, smaller)
    small, inside = (window(each, 0, 0, (side, side)) for each in parts)
    return small, inside


def blurred(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image whose pixels share their noise with their neighbours."""
    return ndimage.gaussian_filter(image, BLUR, mode="wrap"), mask


def inverted(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with bright and dark exchanged."""
    return 2 * image.mean() - image, mask


def sloped(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with uneven illumination."""
    return image * (1 + SLOPE * np.linspace(-1, 1, image.shape[1], dtype=np.float32)), mask


def vignetted(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image whose corners are dark."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) ** 2 for n in image.shape)
    return image - VIGNETTE * image.std() * (y[:, None] + x) / 2, mask


#: All distortions by name. Each gets an image and its mask, (side, side), and returns both.
DISTORTIONS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    each.__name__: each for each in (magnified, reduced, blurred, inverted, sloped, vignetted)
}


def _scaled(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image with another number of pixels along each side."""
    return resample(image, side / image.shape[0], 1.0)


def _scaled_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """Return the nearest pixels of a mask."""
    places = ((np.arange(side) + 0.5) * len(mask) / side).astype(int)
    return mask[np.ix_(places, places)]
