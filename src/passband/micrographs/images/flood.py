"""A landscape is flooded from its peaks: h-maxima and watershed in one pass."""

import numpy as np

from passband.imaging.compiled import compiled


def flooded(height: np.ndarray, least: float) -> tuple[np.ndarray, float]:
    """Return the parts of a landscape, and its narrowest pass.

    Args:
        height: (height, width), above 0 in the landscape and 0 elsewhere.
        least: A peak is a part of its own if it is at least so far above the pass to a higher peak.

    Returns:
        The (height, width) int32 label image of the parts, which has 1 at the highest peak. And the
        smallest ratio of the height of a pass and of the lower peak beside it, over all passes
        between joined parts of which the lower peak is at least half as high as the other; 1 if
        there is none.
    """
    padded = np.pad(height.astype(np.float32), 1)
    order = np.flatnonzero(padded)
    order = order[np.argsort(-padded.ravel()[order], kind="stable")]
    flood = compiled(_flood, _SIGNATURE)
    parts, narrowest = flood(padded.ravel(), order, padded.shape[1], least)
    return parts.reshape(padded.shape)[1:-1, 1:-1], float(narrowest)


_SIGNATURE = "Tuple((int32[:], float64))(float32[:], int64[:], int64, float64)"


def _flood(height, order, width, least):
    """Return the part of each pixel, from 1 on, and 0 outside `order`; and the narrowest pass.

    Pixels are visited in the order of falling height. A pixel without a visited neighbour is the
    peak of a new part. Every other pixel belongs to the part of the highest neighbour. Where a
    pixel has neighbours in several parts, these parts meet. A part is joined to that with the
    highest peak if its own peak is less than `least` above the pixel.
    """
    narrowest = 1.0
    part = np.zeros(height.size, np.int32)
    parent = [0]  # the part that a part was joined to
    peak = [np.float32(0)]  # the height of the peak of a part
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
                if uphill == 0 or height[pixel + step] > height[uphill]:
                    uphill = pixel + step
        if uphill == 0:
            parent.append(len(parent))
            peak.append(height[pixel])
            part[pixel] = len(parent) - 1
            continue
        for step in steps:
            other = part[pixel + step]
            if other:
                while parent[other] != other:
                    other = parent[other]
                if other != largest and peak[other] - height[pixel] < least:
                    parent[other] = largest
                    if 2 * peak[other] >= peak[largest]:
                        narrowest = min(narrowest, height[pixel] / peak[other])
        part[pixel] = part[uphill]
    # The remaining parts are numbered in the order of their peaks.
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
    return part, narrowest
