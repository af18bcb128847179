"""The background of a micrograph: uneven illumination, which is taken off before networks see it.

In a small image, the background is a plane, or where the image demands it, a polynomial of degree
2, and is subtracted. A wide image has enough surroundings of particles to be divided by its smooth
background. Particles hardly carry any of these fits, which are robust.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from passband.micrographs.images.preparation import bands

if TYPE_CHECKING:
    from passband.micrographs.models.network import Network

#: By default, an image is divided by its smooth background if it is so many times as wide as a
#: training image.
FLATTENED = 2
#: A background is subtracted if its height is above this number of standard deviations of the image
#: without it. The number was chosen after looking at fourteen real patches.
LEAST_SD = 0.7
#: A polynomial of degree 2 replaces the plane if it leaves less than these parts of the plane's
#: residuals in blocks that neither was fitted to, and in pairs of such blocks. The second number
#: was chosen with simulated images of which particles cover more than half.
BETTER = 0.7
BETTER_PAIRS = 0.8
#: Number of blocks along each side of an image from which a background is subtracted.
BLOCKS = 12
#: The distances of the blocks of a pair, and of those that have the same colour of a checkerboard.
APART = (1, 2, 3)
APART_ALIKE = (2,)
#: Degree of the polynomial by which large images are divided.
_DEGREE = 2
#: Numbers of the terms of a plane, and of a polynomial of degree 2, without the constant.
_PLANE = 2
_QUADRATIC = 5
#: Number of blocks along the longer side of the image to which the flat field is fitted.
_FINE_BLOCKS = 48
#: The means of all blocks must be above this fraction of the image's mean to divide by them.
_MIN_BACKGROUND = 0.01


@dataclass(frozen=True)
class Background:
    """What was taken off an image.

    Attributes:
        height_sd: The largest minus the smallest value of the background over the field, in
            standard deviations of the image without it. With the kind ``none``, that of the plane
            that was left; NaN if none was looked for, or if the image was divided.
    """

    kind: Literal["none", "plane", "quadratic", "flat field"] = "none"
    height_sd: float = np.nan

    def __str__(self) -> str:
        if self.kind == "none":
            return "no background taken off"
        if self.kind == "flat field":
            return "divided by the smooth background"
        words = {"plane": "a plane", "quadratic": "a polynomial of degree 2"}
        return f"{words[self.kind]} of {self.height_sd:.2g} standard deviations taken off"


#: Nothing was taken off.
NONE = Background()


def take_off(
    image: np.ndarray,
    pixel_size_A: float,
    networks: Sequence["Network"],
    flat_field: bool | None = None,
) -> tuple[np.ndarray, Background]:
    """Return an image without its background, and what was taken off.

    An image that is at least :data:`FLATTENED` times as wide and high as a training image is
    divided, see :func:`flatten_field`. A smaller one may have a plane or a polynomial of degree 2,
    see :func:`subtract`. Counts for the normalisation ``vacuum`` stay as they are. The expected
    Dice of an image is learned from distorted images that go through this function.

    Args:
        networks: The networks that will see the image.
        flat_field: Whether the image is divided; with False, nothing is taken off.
    """
    if flat_field:
        return flatten_field(image), Background("flat field")
    if flat_field is False or any(network.normalisation == "vacuum" for network in networks):
        return image, NONE
    first = networks[0]
    wide_A = first.field_px * first.pixel_size_A * FLATTENED
    if min(image.shape) * pixel_size_A >= wide_A:
        return flatten_field(image), Background("flat field")
    return subtract(image, max(1, round(first.finest_A / pixel_size_A)))


def subtract(image: np.ndarray, step: int = 1) -> tuple[np.ndarray, Background]:
    """Return an image without its plane, or without its polynomial of degree 2.

    Both are fitted to differences between the medians of blocks that lie 1 to 3 blocks apart in a
    row or a column. In most of these pairs, both blocks are inside a particle or both are outside,
    so that even particles over more than half of the image hardly change the sum of absolute
    deviations, which is smallest. The polynomial is used only if all of these hold:

    - fitted to one half of the blocks (a checkerboard), it leaves less than :data:`BETTER` of the
      residual of the plane in the other half, and less than :data:`BETTER_PAIRS` of that of pairs,
    - its second-degree part has one sign in the four corners, as if light fell off towards them.

    Args:
        step: Pixels along the sides of the squares whose means have the standard deviation that
            counts. The noise of pixels that are finer than the network's would hide a background.

    Returns:
        (height, width) float32: the image with its mean. If the background is no higher than
        :data:`LEAST_SD`, the image itself.
        What was taken off.
    """
    medians, terms, is_odd = _blocks(image)
    pairs = _pairs(medians, terms, is_odd, APART)
    kind = "plane"
    chosen = _fitted(pairs.differences, pairs.terms[:, :_PLANE])
    bent = _fitted(pairs.differences, pairs.terms)
    along_y, along_both, along_x = bent[_PLANE:]
    if abs(along_y + along_x) > abs(along_both) and _is_bent(medians, terms, is_odd):
        kind = "quadratic"
        chosen = bent
    places = np.meshgrid(*map(_centres, image.shape), indexing="ij")
    surface = sum(c * term for c, term in zip(chosen, _terms(*places), strict=False))
    result = image - (surface - surface.mean()).astype(np.float32)
    tall, wide = (n // step for n in image.shape)
    squares = result[: tall * step, : wide * step].reshape(tall, step, wide, step)
    deviation = squares.mean((1, 3), dtype=np.float64).std()
    height = float(np.ptp(surface) / max(deviation, 1e-12))
    if height <= LEAST_SD:
        return image, Background("none", height)
    return result, Background(kind, height)


def _fitted(values: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Return the coefficients with the smallest sum of absolute deviations.

    Args:
        values: (n,).
        terms: (n, k).
    """
    weights = np.ones(len(values))
    for _ in range(30):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
        away = np.abs(values - terms @ solution)
        # The largest weight keeps pairs that are met exactly from deciding alone.
        weights = 1 / np.maximum(away, 1e-3 * away.max() + 1e-12)
    return solution


class _Pairs(NamedTuple):
    """Pairs of blocks: differences of medians (n,) and of terms (n, k), and the blocks' colour."""

    differences: np.ndarray
    terms: np.ndarray
    is_odd: np.ndarray


def _is_bent(medians: np.ndarray, terms: np.ndarray, is_odd: np.ndarray) -> bool:
    """Return whether a polynomial of degree 2 predicts other blocks better than a plane."""
    pairs = _pairs(medians, terms, is_odd, APART_ALIKE)
    blocks = []
    steps = []
    for number in (_PLANE, _QUADRATIC):
        away = []
        away_pairs = []
        for half in (False, True):
            own = pairs.is_odd == half
            found = _fitted(pairs.differences[own], pairs.terms[own, :number])
            left = (medians - terms[..., :number] @ found)[is_odd != half]
            away.append(np.abs(left - np.median(left)))
            away_pairs.append(np.abs(pairs.differences - pairs.terms[:, :number] @ found)[~own])
        blocks.append(np.median(np.concatenate(away)))
        steps.append(np.median(np.concatenate(away_pairs)))
    return blocks[1] < BETTER * blocks[0] and steps[1] < BETTER_PAIRS * steps[0]


def _blocks(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the medians of blocks, their terms, and which are odd on a checkerboard.

    Blocks that the image's edge cuts to less than half a side are left out.

    Returns:
        (rows, columns), (rows, columns, 5) and (rows, columns) bool.
    """
    sides = (-(-n // BLOCKS) for n in image.shape)
    rows, columns = (
        [slice(k, min(k + side, n)) for k in range(0, n, side) if 2 * (n - k) >= side]
        for side, n in zip(sides, image.shape, strict=True)
    )
    medians = np.array([[np.median(image[row, column]) for column in columns] for row in rows])
    y, x = (
        np.array([(of.start + of.stop) / n - 1 for of in parts])
        for parts, n in zip((rows, columns), image.shape, strict=True)
    )
    is_odd = np.add.outer(np.arange(len(rows)), np.arange(len(columns))) % 2 > 0
    return medians, np.stack(_terms(*np.meshgrid(y, x, indexing="ij")), -1), is_odd


def _terms(y: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    """Return the terms of a polynomial of degree 2; the first two are those of a plane."""
    return [y, x, y**2, y * x, x**2]


def _pairs(
    medians: np.ndarray, terms: np.ndarray, is_odd: np.ndarray, apart: Sequence[int]
) -> _Pairs:
    """Return the pairs of blocks of a row or a column that lie so many blocks apart."""
    differences = []
    of_terms = []
    colours = []
    for step in apart:
        for ends in (np.s_[step:], np.s_[:-step]), (np.s_[:, step:], np.s_[:, :-step]):
            after, before = ends
            differences.append((medians[after] - medians[before]).ravel())
            of_terms.append((terms[after] - terms[before]).reshape(-1, terms.shape[-1]))
            colours.append(is_odd[after].ravel())
    return _Pairs(*map(np.concatenate, (differences, of_terms, colours)))


def flatten_field(image: np.ndarray) -> np.ndarray:
    """Divide an image by its smooth background, so that illumination is the same everywhere.

    The logarithm of the background is a polynomial of second degree of both coordinates, fitted to
    the logarithms of the means of blocks. So a beam with a Gaussian profile is described exactly.
    Blocks that are far from the polynomial, such as particles in projection, get small weights
    (Tukey's biweight). A polynomial needs no padding at the edges, and does not follow single
    particles, as a blurred image would.

    Returns:
        (height, width) float32: the flat image, with the mean of the input. If the mean of a block
        is below 1% of the image's mean, as in an image whose mean was subtracted, the polynomial is
        fitted to the means themselves, and is subtracted.
    """
    image = np.asarray(image, np.float32)
    mean = float(image.mean(dtype=np.float64))
    block = max(1, max(image.shape) // _FINE_BLOCKS)
    means = _block_means(image, block)
    divide = mean > 0 and means.min() > _MIN_BACKGROUND * mean
    # The last blocks may be cut off by the edge: their centres are those of their pixels.
    y = _block_means(_centres(image.shape[0])[:, None], block)[:, 0]
    x = _block_means(_centres(image.shape[1])[:, None], block)[:, 0]
    coefficients = _fit(np.log(means / mean) if divide else means - mean, y, x)
    along_y = np.polynomial.legendre.legvander(_centres(image.shape[0]), _DEGREE)
    along_x = np.polynomial.legendre.legvander(_centres(image.shape[1]), _DEGREE)
    along_y, x_part = along_y.astype(np.float32), (coefficients @ along_x.T).astype(np.float32)
    result = np.empty_like(image)
    for band in bands(image.shape):
        background = along_y[band] @ x_part
        if divide:
            result[band] = image[band] * np.exp(-background)
        else:
            result[band] = image[band] - background
    if divide:
        result *= np.float32(mean / result.mean(dtype=np.float64))
    else:
        result += np.float32(mean - result.mean(dtype=np.float64))
    return result


def _fit(values: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return coefficients (degree + 1, degree + 1) of products of Legendre's polynomials."""
    degrees = np.arange(_DEGREE + 1)
    kept = degrees[:, None] + degrees <= _DEGREE
    places = np.meshgrid(y, x, indexing="ij")
    products = np.polynomial.legendre.legvander2d(*places, [_DEGREE, _DEGREE])
    design = np.ascontiguousarray(products.reshape(values.size, -1)[:, kept.ravel()])
    flat = values.ravel()
    weights = np.ones(len(flat))
    for _ in range(20):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(design * root[:, None], flat * root, rcond=None)[0]
        residual = np.abs(flat - design @ solution)
        scale = 1.4826 * np.median(residual)
        if scale <= 1e-7 * np.abs(flat).max():
            break
        # The smallest weight keeps the polynomial defined where all blocks are far from it.
        weights = np.clip(1 - (residual / (4.685 * scale)) ** 2, 0, 1) ** 2 + 1e-6
    result = np.zeros(kept.shape)
    result[kept] = solution
    return result


def _block_means(image: np.ndarray, block: int) -> np.ndarray:
    """Return the means of square blocks; the last blocks may have fewer pixels."""
    starts = [np.arange(0, size, block) for size in image.shape]
    sums = np.add.reduceat(image, starts[0], axis=0, dtype=np.float64)
    sums = np.add.reduceat(sums, starts[1], axis=1)
    numbers = [np.diff(s, append=size) for s, size in zip(starts, image.shape, strict=True)]
    return sums / np.outer(*numbers)


def _centres(number: int) -> np.ndarray:
    """Return the centres of pixels on an axis from −1 to 1."""
    return (2 * np.arange(number) + 1) / number - 1
