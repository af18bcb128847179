"""A landscape is flooded as its description says, pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from passband.micrographs.images.flood import flooded


def visited_one_by_one(height, least):
    """Return what :func:`flooded` returns, by the sentences of its docstring."""
    height = np.pad(height.astype(np.float32), 1)
    places = sorted(zip(*np.nonzero(height), strict=True), key=lambda place: -height[place])
    part, joined, peak, narrowest = {}, {}, {}, 1.0

    def root(number):
        while joined[number] != number:
            number = joined[number]
        return number

    for y, x in places:
        around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        visited = [place for place in around if place in part]
        if not visited:
            part[y, x] = number = len(joined)
            joined[number], peak[number] = number, height[y, x]
            continue
        meeting = list(dict.fromkeys(root(part[place]) for place in visited))
        highest = max(meeting, key=peak.get)
        for other in meeting:
            if other != highest and peak[other] - height[y, x] < least:
                joined[other] = highest
                if 2 * peak[other] >= peak[highest]:
                    narrowest = min(narrowest, float(height[y, x] / peak[other]))
        part[y, x] = part[max(visited, key=lambda place: height[place])]
    names = {}
    labels = np.zeros(height.shape, int)
    for place in places:
        labels[place] = names.setdefault(root(part[place]), len(names) + 1)
    return labels[1:-1, 1:-1], narrowest


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1), (1, 9), (7, 5), (24, 24)]),
    st.sampled_from([0, 0.7, 2]),
    st.sampled_from([0, 0.3, math.inf]),
    st.booleans(),
)
def test_it_is_what_visiting_pixels_one_by_one_gives(seed, shape, sigma, least, has_plateaus):
    height = np.random.default_rng(seed).random(shape)
    height = ndimage.gaussian_filter(height, sigma)
    height = np.where(height > 0.4, 5 * height, 0)
    if has_plateaus:
        height = np.round(height, 1)
    labels, narrowest = flooded(height, least)
    expected, ratio = visited_one_by_one(height, least)
    np.testing.assert_array_equal(labels, expected)
    assert narrowest == ratio
    assert labels.dtype == np.int32


@pytest.mark.parametrize(("least", "parts"), [(1.9, 2), (2.1, 1)])
def test_a_peak_is_a_part_if_it_is_high_enough_above_the_pass(least, parts):
    height = np.array([[1, 5, 3, 2, 3, 4, 1]], float)
    labels, narrowest = flooded(height, least)
    assert labels.max() == parts
    assert narrowest == (1 if parts == 2 else 0.5)


def test_an_empty_landscape_has_no_part():
    labels, narrowest = flooded(np.zeros((3, 4)), 1)
    assert not labels.any()
    assert narrowest == 1
