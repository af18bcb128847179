"""Particles of a segmented image: those that touch are split, and each is measured."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import hypot, isnan, nan, pi, sqrt

import numpy as np
from scipy import ndimage
from scipy.special import logit

from passband.learning.heads.found import Found
from passband.micrographs.images import shape_measures
from passband.micrographs.images.flood import flooded

#: Two parts of a region are two particles if the way from one to the other leads at least so far
#: below the lower of both peaks, in the landscape of :func:`instances` [nm]. The unit of log-odds
#: is 1, a probability of 0.73. Chosen with :data:`SMOOTHING_NM` on simulated fields with
#: ``findings/particles/particles.py --sets tuning``.
HEIGHT_NM = 0.4
#: Standard deviation of the Gaussian that smooths the log-odds of a region [nm].
SMOOTHING_NM = 0.3
#: The smallest distance of a probability from 1: log-odds are at most 14.
_CERTAIN = 1e-6
#: Two particles that meet overlap if their centroids are nearer than this share of the sum of their
#: radii, as a head states them. Of pairs on both faces, it finds two thirds, with few false ones.
NEAR = 0.9
#: Particles of which a head is less certain are not counted, and have no part in sizes.
CERTAIN = 0.5
#: A region whose bounding box has more pixels is not split, to limit memory and time.
LARGEST_BOX = 2**24


@dataclass(frozen=True)
class Particle:
    """One particle of an image.

    Attributes:
        label: The particle's value in the label image.
        area_nm2: The area of the particle's pixels [nm²].
        diameter_nm: The equivalent diameter, which is the diameter of the disc of the same area
            [nm]. If a head has found the particle, it is that of the whole one, also of what
            another one covers.
        x_nm, y_nm: The centroid [nm]. x is along a row of pixels and y along a column. The centre
            of the first pixel is at 0.
        touches_edge: Whether a pixel of the particle is at the edge of the image, so that the
            particle may be cut off.
        mean_probability: The mean probability of the particle's pixels.
        solidity: The area, relative to that of the convex hull: 1 if the outline is convex.
        feret_diameter_nm: The largest caliper diameter [nm].
        neck_ratio: The width of its neck, relative to the smaller of the two parts that the neck
            joins; 1 without a neck. Below 0.75, it may be two particles. See
            :func:`passband.micrographs.images.shape_measures.neck_ratio`.
        certainty: By the head, from 0 to 1: higher for particles that are more often right; 0 if it
            has not found the particle. None without a head.
        overlapped: Whether another particle lies over or under it, as far as a head can tell.
    """

    label: int
    area_nm2: float
    diameter_nm: float
    x_nm: float
    y_nm: float
    touches_edge: bool
    mean_probability: float = nan
    solidity: float = nan
    feret_diameter_nm: float = nan
    neck_ratio: float = nan
    certainty: float | None = None
    overlapped: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is counted: a head is at least as sure of it as not."""
        return self.certainty is None or self.certainty >= CERTAIN

    def moved(self, x_nm: float, y_nm: float) -> "Particle":
        """Return the particle of a cut image where it is in the whole one."""
        return replace(self, x_nm=self.x_nm + x_nm, y_nm=self.y_nm + y_nm)


def instances(probability: np.ndarray, pixel_nm: float, smallest_nm: float = 0.0) -> np.ndarray:
    """Return a label image of the particles in a map of probabilities.

    Each connected region above ½ is one particle, unless its landscape has several peaks. The
    height of the landscape is the distance from the background [nm] times the log-odds of the
    probability. So it is low at a neck, and where the network is less certain, as between two
    particles that touch. Peaks that rise less than :data:`HEIGHT_NM` above the way to a higher peak
    are no peaks (h-maxima), and the others are flooded until they meet (watershed). The edge of the
    image is no background, since a particle goes on beyond it, nor are holes in a region.

    Args:
        probability: (height, width), the probability that a pixel is in a particle.
        smallest_nm: Particles with a smaller equivalent diameter are removed [nm]. Smaller
            background at the edge of the image counts as a hole.

    Returns:
        (height, width) int32: 0 in the background, and a label from 1 on in each particle. The
        labels have no gaps.
    """
    regions = np.empty(probability.shape, np.int32)
    ndimage.label(probability > 0.5, np.ones((3, 3), bool), output=regions)
    smallest_px = pi / 4 * (smallest_nm / pixel_nm) ** 2
    following = 1
    for place, region in _regions(regions):
        place = around(place)
        inside = regions[place] == region
        # The labels of the particles are negative until all regions have been read.
        regions[place][inside] = 0
        if np.count_nonzero(inside) < smallest_px:
            continue
        if inside.size > LARGEST_BOX:
            parts = inside.astype(np.int32)
        else:
            parts = _split(inside, probability[place], pixel_nm, smallest_px)
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


def around(place: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return a box with one pixel more on each side, but nothing beyond the edge of the image."""
    rows, columns = (slice(max(side.start - 1, 0), side.stop + 1) for side in place)
    return rows, columns


def _split(
    inside: np.ndarray, probability: np.ndarray, pixel_nm: float, smallest_px: float
) -> np.ndarray:
    """Return the parts of a region as a label image, from 1 on."""
    filled = _without_holes(inside, smallest_px)
    if filled.all():
        return inside.astype(np.int32)
    odds = logit(np.where(inside, np.minimum(probability, 1 - _CERTAIN), 0.5).astype(np.float32))
    odds = _smoothed(odds, filled, SMOOTHING_NM / pixel_nm)
    # Every pixel of the region has a height above 0.
    height = ndimage.distance_transform_edt(filled) * pixel_nm * np.maximum(odds, 1e-3)
    parts, _ = flooded(height, HEIGHT_NM)
    return parts * inside


def _smoothed(values: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """Return values smoothed by a Gaussian over the pixels inside a region only."""
    weights = inside.astype(np.float32)
    blurred, weights = (
        ndimage.gaussian_filter(each, sigma, mode="constant", truncate=2)
        for each in (values * weights, weights)
    )
    return np.divide(blurred, weights, out=np.zeros_like(blurred), where=inside)


def _without_holes(inside: np.ndarray, smallest_px: float) -> np.ndarray:
    """Return a region with its holes, and with pieces of background below `smallest_px` pixels."""
    pieces, number = ndimage.label(~inside)
    outer = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    is_hole = np.ones(number + 1, bool)
    is_hole[outer] = False
    is_hole |= np.bincount(pieces.ravel(), minlength=number + 1) < smallest_px
    is_hole[0] = True  # the region itself
    return is_hole[pieces]


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


def measure(
    labels: np.ndarray,
    pixel_nm: float,
    probability: np.ndarray | None = None,
    stated: Found | None = None,
) -> list[Particle]:
    """Return the particles of a label image, in the order of their labels.

    Args:
        labels: (height, width) integer, 0 in the background, and a label from 1 on in each
            particle.
        probability: (height, width), the probability of each pixel.
        stated: What a head says of the particles.
    """
    height, width = labels.shape
    found = []
    for (rows, columns), label in _regions(labels):
        inside = labels[rows, columns] == label
        y, x = np.nonzero(inside)
        touches = (
            rows.start == 0 or columns.start == 0 or rows.stop == height or columns.stop == width
        )
        area = len(x) * pixel_nm**2
        mean = nan if probability is None else float(probability[rows, columns][inside].mean())
        solidity, caliper_px = shape_measures.solidity_and_caliper(y, x)
        found.append(
            Particle(
                label=label,
                area_nm2=area,
                diameter_nm=2 * sqrt(area / pi),
                x_nm=float(columns.start + x.mean()) * pixel_nm,
                y_nm=float(rows.start + y.mean()) * pixel_nm,
                touches_edge=touches,
                mean_probability=mean,
                solidity=solidity,
                feret_diameter_nm=caliper_px * pixel_nm,
                neck_ratio=shape_measures.neck_ratio(labels[around((rows, columns))] == label),
            )
        )
    return found if stated is None else _with_statements(found, stated, _meeting(labels))


def _with_statements(
    particles: Sequence[Particle], stated: Found, meeting: Iterable[tuple[int, int]]
) -> list[Particle]:
    """Return particles with what a head says of them, and whether they overlap.

    Args:
        meeting: The labels of those that meet. If the size of one is not stated, the other may lie
            over it.
    """
    found = {}
    for each in particles:
        whole_nm = float(stated.diameters_nm[each.label - 1])
        found[each.label] = replace(
            each,
            diameter_nm=each.diameter_nm if isnan(whole_nm) else whole_nm,
            certainty=float(stated.certainty[each.label - 1]),
        )
    for pair in meeting:
        one, other = (found[label] for label in pair)
        away = hypot(one.x_nm - other.x_nm, one.y_nm - other.y_nm)
        is_near = away < NEAR * (one.diameter_nm + other.diameter_nm) / 2
        for each in (one, other):
            if is_near or isnan(stated.diameters_nm[each.label - 1]):
                found[each.label] = replace(found[each.label], overlapped=True)
    return list(found.values())


def _meeting(labels: np.ndarray) -> set[tuple[int, int]]:
    """Return the pairs of labels of which a pixel of one is beside a pixel of the other."""
    found: set[tuple[int, int]] = set()
    for a, b in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        meets = (labels[a] != labels[b]) & (labels[a] > 0) & (labels[b] > 0)
        found.update(zip(labels[a][meets].tolist(), labels[b][meets].tolist(), strict=True))
    return {(min(pair), max(pair)) for pair in found}


def mean_diameter(particles: Sequence[Particle]) -> float:
    """Return the mean diameter of whole particles [nm], see :func:`sizes`.

    If all particles touch the edge, the mean is over all that count. Without particles, the result
    is NaN.
    """
    known = sizes(particles) or [each.diameter_nm for each in particles if each.counts]
    return float(np.mean(known)) if known else float("nan")


def sizes(particles: Iterable[Particle]) -> list[float]:
    """Return the diameters of particles that count and do not touch the edge [nm]."""
    return [each.diameter_nm for each in particles if each.counts and not each.touches_edge]


def number_uncertain(particles: Iterable[Particle]) -> int:
    """Return how many particles are not counted, since a head is not certain of them."""
    return sum(not each.counts for each in particles)


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
