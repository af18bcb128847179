"""A landscape is flooded from its peaks: h-maxima and watershed in one pass."""

from collections.abc import Iterator, Sequence

import numpy as np


def flooded(height: np.ndarray, least: float) -> tuple[np.ndarray, float]:
    """Return the parts of a landscape, and its narrowest pass.

    Pixels are visited in the order of falling height. A pixel without a visited neighbour is the
    peak of a new part. Every other pixel belongs to the part of the highest neighbour. Where a
    pixel has neighbours in several parts, these parts meet. A part is joined to that with the
    highest peak if its own peak is less than `least` above the pixel.

    Args:
        height: (height, width), above 0 in the landscape and 0 elsewhere.
        least: A peak is a part of its own if it is at least so far above the pass to a higher peak.

    Returns:
        The (height, width) int32 label image of the parts, which has 1 at the highest peak. And the
        smallest ratio of the height of a pass and of the lower peak beside it, over all passes
        between joined parts of which the lower peak is at least half as high as the other; 1 if
        there is none.
    """
    flat = height.astype(np.float32).ravel()
    order = np.flatnonzero(flat)
    order = order[np.argsort(-flat[order], kind="stable")]
    heights = flat[order]
    visit = np.full(np.add(height.shape, 2), len(order), np.int32)
    places = np.ravel_multi_index(np.add(np.divmod(order, height.shape[1]), 1), visit.shape)
    visit.ravel()[places] = np.arange(len(order))
    peaks, part = _climbed(visit, places)
    if len(peaks) < 2:  # most particles: nothing can meet
        return (height > 0).astype(np.int32), 1.0
    meeting, met = _meetings(visit, places, part)
    roots, narrowest = _joined(list(heights[peaks]), list(heights[meeting]), met, least)
    # The remaining parts are numbered in the order of their peaks.
    names = {root: number for number, root in enumerate(dict.fromkeys(roots), 1)}
    labels = np.zeros(height.size, np.int32)
    labels[order] = np.array([names[root] for root in roots], np.int32)[part]
    return labels.reshape(height.shape), narrowest


def _earlier(visit: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
    """Yield when each of the 8 neighbours of pixels is visited, if it is before the pixel.

    For a later one, or one outside the landscape, the number is that of all pixels.

    Args:
        visit: When each pixel is visited, from 0 on, with one pixel more on each side.
        places: The flat index of each pixel, in the order of the visits.
    """
    width = visit.shape[1]
    times = np.arange(len(places), dtype=np.int32)
    for step in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        found = visit.ravel()[places + step]
        yield np.where(found < times, found, np.int32(len(places)))


def _climbed(visit: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return when the peaks are visited, and the number of the peak to which each pixel leads."""
    times = np.arange(len(places), dtype=np.int32)
    uphill = np.full(len(places), len(places), np.int32)
    for found in _earlier(visit, places):
        np.minimum(uphill, found, out=uphill)  # an earlier one is not lower
    is_peak = uphill == len(places)
    top = np.where(is_peak, times, uphill)
    while not np.array_equal(top, further := top[top]):
        top = further
    return np.flatnonzero(is_peak), (np.cumsum(is_peak) - 1)[top]


def _meetings(
    visit: np.ndarray, places: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, list[list[int]]]:
    """Return when parts meet at a pixel, and the parts there, in the order of the neighbours."""
    known = np.append(part, -1)
    first = np.full(len(places), -1)
    meet = np.zeros(len(places), bool)
    for found in _earlier(visit, places):
        other = known[found]
        first = np.where(first < 0, other, first)
        meet |= (other >= 0) & (other != first)
    pixels = np.flatnonzero(meet)
    met = np.stack([known[found[pixels]] for found in _earlier(visit, places)], 1)
    return pixels, [[k for k in dict.fromkeys(row) if k >= 0] for row in met.tolist()]


def _joined(
    peaks: Sequence[float], passes: Sequence[float], met: Sequence[list[int]], least: float
) -> tuple[list[int], float]:
    """Return to which part each part is joined, or itself, and the narrowest pass.

    Args:
        peaks: The height of each part's peak.
        passes: The heights of pixels at which parts meet, from the highest on.
        met: The parts that meet at each of them.
        least: See :func:`flooded`.
    """
    narrowest = 1.0
    parent = [*range(len(peaks))]

    def root(part: int) -> int:
        while parent[part] != part:
            part = parent[part]
        return part

    for height, parts in zip(passes, met, strict=True):
        roots = list(dict.fromkeys(map(root, parts)))
        largest = max(roots, key=lambda part: peaks[part])
        for part in roots:
            if part != largest and peaks[part] - height < least:
                parent[part] = largest
                if 2 * peaks[part] >= peaks[largest]:
                    narrowest = min(narrowest, float(height / peaks[part]))
    return [root(part) for part in range(len(peaks))], narrowest
