"""Finds the background of an image: the film outside the particles, without a network.

Particles differ from the film in brightness or in the strength of their detail. It is not known
beforehand which of the two holds, so several backgrounds are returned, and
:mod:`passband.micrographs.rings.ctf_fit` uses the one whose rings are clearest.
"""

import numpy as np
from scipy import ndimage

from passband.errors import PassbandError

#: Widths of the Gaussians that smooth brightness and detail [Å].
_BRIGHTNESS_A, _DETAIL_A = 3.0, 6.0
#: Least share of the variance that two classes explain. For one normal distribution, it is 2/π.
_TWO_CLASSES = 0.70
#: A class of particles covers at most this fraction of the image, and at least the second one.
_MOST, _LEAST = 0.7, 0.003
#: Margin around particles, and width over which the weight rises [Å].
_MARGIN_A, _RISE_A = 3.0, 2.0
#: Side of the square of equal values that is called artificial, such as a scale bar [pixels].
_FLAT_PX = 7
#: A region of equal values that is thicker than this is no scale bar, and has no letters [pixels].
_THICKEST_BAR_PX = 40
#: A region below this fraction of the median brightness is called a beam stop, if it covers at
#: least this fraction of the image.
_DARK, _DARK_AREA = 0.3, 0.005


def artificial(image: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return pixels that show no specimen, and notes for the user.

    Args:
        image: (height, width), grey values.

    Returns:
        (height, width) bool, tuple of str: True in squares of equal values, such as a scale bar
        that is burnt in, and in a large dark region, such as a beam stop; and a note for each kind
        that was found.

    Raises:
        PassbandError: If less than a quarter of the image is left.
    """
    image = np.asarray(image, np.float32)
    low, high = (f(image, _FLAT_PX) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    flat = ndimage.binary_dilation(low == high, iterations=_FLAT_PX // 2 + 2)
    notes = []
    if flat.any():
        labels, _ = ndimage.label(flat)
        number = len(np.unique(labels)) - 1
        # Letters beside a scale bar are too thin for a square, so the surroundings are left out.
        for rows, columns in ndimage.find_objects(labels):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            thickness = min(height, width)
            reach = 2 * thickness + 8 if thickness <= _THICKEST_BAR_PX else 8
            flat[
                max(0, rows.start - reach) : rows.stop + reach,
                max(0, columns.start - reach) : columns.stop + reach,
            ] = True
        notes.append(
            f"{number} region{'s' * (number != 1)} of one value, such as a scale bar burnt in: "
            f"left out with the surroundings, {flat.mean():.1%} of the image"
        )
    smooth = ndimage.gaussian_filter(image, 4)
    middle, floor = float(np.median(smooth)), min(0.0, float(image.min()))
    dark = smooth - floor < _DARK * (middle - floor)
    dark = ndimage.binary_opening(dark, iterations=6)
    if dark.mean() > _DARK_AREA:
        dark = ndimage.binary_dilation(dark, iterations=12)
        notes.append(
            f"a dark region, such as a beam stop: left out, {dark.mean():.1%} of the image"
        )
        flat = flat | dark
    if flat.mean() > 0.75:
        raise PassbandError(
            f"{flat.mean():.0%} of the image has one value or is dark, or is beside such a region; "
            "at least a quarter must show the specimen"
        )
    return flat, tuple(notes)


def backgrounds(
    image: np.ndarray, pixel_size_A: float, excluded: np.ndarray
) -> dict[str, np.ndarray]:
    """Return possible backgrounds: weights (height, width) from 0 to 1, by the way they were found.

    Args:
        image: (height, width), grey values.
        excluded: (height, width) bool, pixels that are no background.

    Returns:
        `whole` is everything that is not excluded. `brightness` and `detail` are without the
        regions of another brightness, or of stronger detail; they are missing if the image has no
        such regions.
    """
    image = np.asarray(image, np.float64)
    image = np.where(excluded, np.median(image[~excluded]), image)
    width = max(1.5, _BRIGHTNESS_A / pixel_size_A)
    smooth = ndimage.gaussian_filter(image, width)
    slow = ndimage.gaussian_filter(smooth, 0.15 * min(image.shape))
    rough = ndimage.gaussian_filter((image - smooth) ** 2, _DETAIL_A / pixel_size_A)
    found = {"whole": _weights(excluded, pixel_size_A)}
    for name, feature in (("brightness", smooth - slow), ("detail", np.log(rough + 1e-30))):
        particles = _minority(feature, excluded)
        if name == "detail" and particles is not None:
            particles = feature > otsu_threshold(feature[~excluded])[0]
        if particles is not None:
            margin = max(1, round(_MARGIN_A / pixel_size_A))
            grown = ndimage.binary_dilation(particles, iterations=margin) | excluded
            if grown.mean() < 0.9:
                found[name] = _weights(grown, pixel_size_A)
    return found


def _weights(excluded: np.ndarray, pixel_size_A: float) -> np.ndarray:
    if not excluded.any():
        return np.ones(excluded.shape)
    rise = _RISE_A / pixel_size_A
    grown = ndimage.binary_dilation(excluded, iterations=max(1, round(rise)))
    return ndimage.gaussian_filter((~grown).astype(float), rise)


def _minority(feature: np.ndarray, excluded: np.ndarray) -> np.ndarray | None:
    """Return the pixels of the smaller of two classes, or None if there is only one class."""
    threshold, share = otsu_threshold(feature[~excluded])
    above = (feature > threshold) & ~excluded
    fraction = above.sum() / (~excluded).sum()
    if share < _TWO_CLASSES or not _LEAST < min(fraction, 1 - fraction) < _MOST:
        return None
    return above if fraction < 0.5 else (feature <= threshold) & ~excluded


def otsu_threshold(values: np.ndarray) -> tuple[float, float]:
    """Return Otsu's threshold of an array, and the share of the variance between both classes."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts) / counts.sum()
    mean = np.cumsum(counts * centres) / counts.sum()
    between = (mean[-1] * below - mean) ** 2 / np.maximum(below * (1 - below), 1e-12)
    best = int(between[:-1].argmax())
    variance = float((counts * (centres - mean[-1]) ** 2).sum() / counts.sum())
    return float(edges[best + 1]), float(between[best] / max(variance, 1e-300))
