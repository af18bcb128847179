"""Measures of the shape of one particle."""

from math import inf

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from passband.micrographs.images.flood import flooded


def solidity_and_caliper(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Return the solidity of a particle, and its largest caliper diameter [pixels].

    The convex hull is that of the middles of the edges of all pixels. That of their corners would
    be too large at oblique outlines, and that of their centres too small at straight ones.

    Args:
        y, x: Rows and columns of the particle's pixels.
    """
    top = y.min()
    number = y.max() - top + 1
    first = np.full(number, x.max())
    last = np.full(number, x.min())
    np.minimum.at(first, y - top, x)
    np.maximum.at(last, y - top, x)
    rows = np.flatnonzero(first <= last)
    ends = [(rows, first[rows] - 0.5), (rows, last[rows] + 0.5)]
    ends += [(rows + side, column[rows]) for side in (-0.5, 0.5) for column in (first, last)]
    points = np.concatenate([np.column_stack(each) for each in ends])
    hull = ConvexHull(points)
    # The volume of a hull in two dimensions is its area.
    return min(len(y) / float(hull.volume), 1.0), float(pdist(points[hull.vertices]).max())


def neck_ratio(inside: np.ndarray) -> float:
    """Return the width of a particle's narrowest neck, relative to the smaller part beside it.

    Widths are those of the largest discs that fit: into the neck, and into the part. Parts whose
    disc is less than half as wide as that of the other part do not count. Holes are filled.

    Args:
        inside: (height, width) bool, the particle with one pixel of background around it. Where
            there is none, at the edge of the image, the particle goes on.
    """
    filled = ndimage.binary_fill_holes(inside)
    if filled.all():
        return 1.0
    _, narrowest = flooded(ndimage.distance_transform_edt(filled), inf)
    return narrowest
