"""Particles of a mask: touching particles are split, and each particle is measured."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan, pi, sqrt

import numpy as np
from scipy import ndimage

from passband.imaging.compiled import compiled

#: Two parts of a region are two particles if the neck between them is narrower than this fraction
#: of the smaller part. The widths of the neck and of the part are those of the largest discs that
#: fit into them.
NECK = 0.75
#: A region whose bounding box has more pixels is not split, to limit memory and time.
LARGEST_BOX = 2**24


@dataclass(frozen=True)
class Particle:
    """One particle of an image.

    Attributes:
        label: The particle's value in the label image.
        area_nm2: The area of the particle's pixels [nm²].
        diameter_nm: The equivalent diameter, which is the diameter of the disc of the same area
            [nm].
        x_nm, y_nm: The centroid [nm]. x is along a row of pixels and y along a column. The centre
            of the first pixel is at 0.
        touches_edge: Whether a pixel of the particle is at the edge of the image, so that the
            particle may be cut off.
        mean_probability: The mean probability of the particle's pixels.
        found_in: The share of other masks of the image in which the particle is found, see
            :func:`shares`. None if there are no other masks.
    """

    label: int
    area_nm2: float
    diameter_nm: float
    x_nm: float
    y_nm: float
    touches_edge: bool
    mean_probability: float = nan
    found_in: float | None = None


def instances(mask: np.ndarray, pixel_nm: float, smallest_nm: float = 0.0) -> np.ndarray:
    """Return a label image of the particles in a mask.

    Each connected region is one particle, unless it has a neck. A region is flooded along its
    distance from the background, beginning with the centres of the largest discs that fit into the
    region. Where two floods meet, the region is split if the distance there is less than
    :data:`NECK` times the distance at the smaller of the two centres. Holes in a region do not
    count as necks.

    Args:
        mask: (height, width) bool, True in the particles.
        smallest_nm: Particles with a smaller equivalent diameter are removed [nm]. A part of a
            region is not split off if its largest disc is less than half as wide.

    Returns:
        (height, width) int32: 0 in the background, and a label from 1 on in each particle. The
        labels have no gaps.
    """
    regions = np.empty(mask.shape, np.int32)
    number = ndimage.label(mask, np.ones((3, 3), bool), output=regions)
    smallest_px = pi / 4 * (smallest_nm / pixel_nm) ** 2
    flood = compiled(_flood, _SIGNATURE) if number else None
    following = 1
    for place, region in _regions(regions):
        inside = regions[place] == region
        # The labels of the particles are negative until all regions have been read.
        regions[place][inside] = 0
        if np.count_nonzero(inside) < smallest_px:
            continue
        if inside.size > LARGEST_BOX:
            parts = inside.astype(np.int32)
        else:
            parts = _split(inside, smallest_nm / pixel_nm / 4, flood)
        for part in range(1, parts.max() + 1):
            chosen = parts == part
            if np.count_nonzero(chosen) >= max(smallest_px, 1):
                regions[place][chosen] = -following
                following += 1
    return np.negative(regions, out=regions)


def _regions(labels: np.ndarray) -> Iterator[tuple[tuple[slice, slice], int]]:
    """Yield the bounding box and the label of each region."""
    for index, place in enumerate(ndimage.find_objects(labels), 1):
        if place is not None:
            yield place, index


def _split(inside: np.ndarray, least_px: float, flood: Callable) -> np.ndarray:
    """Return the parts of a region as a label image, from 1 on.

    A part whose largest disc has a radius below `least_px` is joined to its neighbour.
    """
    filled = ndimage.binary_fill_holes(np.pad(inside, 1))
    distance = ndimage.distance_transform_edt(filled).astype(np.float32)
    order = np.flatnonzero(distance)
    order = order[np.argsort(-distance.ravel()[order], kind="stable")]
    parts = flood(distance.ravel(), order, filled.shape[1], NECK, least_px)
    return parts.reshape(filled.shape)[1:-1, 1:-1] * inside


_SIGNATURE = "int32[:](float32[:], int64[:], int64, float64, float64)"


def _flood(distance, order, width, neck, least):
    """Return the part of each pixel, from 1 on, and 0 outside `order`.

    Pixels are visited in the order of falling distance. A pixel without a visited neighbour is the
    centre of a new part. Every other pixel belongs to the part of the neighbour with the largest
    distance. Where a pixel has neighbours in several parts, these parts meet. A smaller part is
    joined to the largest part if the pixel's distance is at least `neck` times the distance at the
    smaller part's centre, or if the distance at the smaller part's centre is below `least`.
    """
    part = np.zeros(distance.size, np.int32)
    parent = [0]  # the part that a part was joined to
    peak = [np.float32(0)]  # the distance at the centre of a part
    steps = (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1)
    for pixel in order:
        uphill = largest = 0
        for step in steps:
            other = part[pixel + step]
            if other:
                while parent[other] != other:
                    other = parent[other]
                if largest == 0 or peak[other] > peak[largest]:
                    largest = other
                if uphill == 0 or distance[pixel + step] > distance[uphill]:
                    uphill = pixel + step
        if uphill == 0:
            parent.append(len(parent))
            peak.append(distance[pixel])
            part[pixel] = len(parent) - 1
            continue
        for step in steps:
            other = part[pixel + step]
            if other:
                while parent[other] != other:
                    other = parent[other]
                small = peak[other]
                if other != largest and (distance[pixel] >= neck * small or small < least):
                    parent[other] = largest
        part[pixel] = part[uphill]
    # The remaining parts are numbered in the order of their centres.
    names = np.zeros(len(parent), np.int32)
    number = 0
    for pixel in order:
        root = part[pixel]
        while parent[root] != root:
            root = parent[root]
        if names[root] == 0:
            number += 1
            names[root] = number
        part[pixel] = names[root]
    return part


def matches(labels: np.ndarray, others: np.ndarray) -> dict[int, int]:
    """Return, by label, the other image's particle with an intersection over union above ½.

    A particle has at most one such partner.

    Args:
        labels, others: (height, width) integer, label images, 0 in the background.
    """
    areas, found = np.bincount(others[others > 0]), {}
    for place, label in _regions(labels):
        inside = labels[place] == label
        overlaps = np.bincount(others[place][inside])
        overlaps[0] = 0
        partner = int(overlaps.argmax())
        # The union is the sum of both areas less the overlap.
        if partner and 3 * overlaps[partner] > np.count_nonzero(inside) + areas[partner]:
            found[label] = partner
    return found


def shares(labels: np.ndarray, others: Iterable[np.ndarray]) -> dict[int, float]:
    """Return, by label, the share of other label images with a match; empty without others."""
    found = [matches(labels, other) for other in others]
    every = range(1, labels.max(initial=0) + 1) if found else ()
    return {label: sum(label in each for each in found) / len(found) for label in every}


def measure(
    labels: np.ndarray,
    pixel_nm: float,
    probability: np.ndarray | None = None,
    found_in: Mapping[int, float] | None = None,
) -> list[Particle]:
    """Return the particles of a label image, in the order of their labels.

    Args:
        labels: (height, width) integer, 0 in the background, and a label from 1 on in each
            particle.
        probability: (height, width), the probability of each pixel.
        found_in: By label, see :func:`shares`.
    """
    height, width = labels.shape
    found_in = found_in or {}
    found = []
    for (rows, columns), label in _regions(labels):
        inside = labels[rows, columns] == label
        y, x = np.nonzero(inside)
        touches = (
            rows.start == 0 or columns.start == 0 or rows.stop == height or columns.stop == width
        )
        area = len(x) * pixel_nm**2
        found.append(
            Particle(
                label,
                area,
                2 * sqrt(area / pi),
                float(columns.start + x.mean()) * pixel_nm,
                float(rows.start + y.mean()) * pixel_nm,
                touches,
                nan if probability is None else float(probability[rows, columns][inside].mean()),
                found_in.get(label),
            )
        )
    return found


def mean_diameter(particles: Sequence[Particle]) -> float:
    """Return the mean equivalent diameter of the particles that do not touch the edge [nm].

    If all particles touch the edge, the mean is over all particles. Without particles, the result
    is NaN.
    """
    whole = [each for each in particles if not each.touches_edge] or particles
    return float(np.mean([each.diameter_nm for each in whole])) if whole else float("nan")


def outlines(labels: np.ndarray) -> np.ndarray:
    """Return the pixels of particles that have a neighbour with another label: a bool array."""
    edge = np.zeros(labels.shape, bool)
    for a, b in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        differs = labels[a] != labels[b]
        edge[a] |= differs
        edge[b] |= differs
    return edge & (labels > 0)
