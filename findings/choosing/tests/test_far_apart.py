"""The choice of points that are far apart, on a line."""

import numpy as np

from findings.choosing.far_apart import farthest_points


def test_far_points_are_the_middle_then_the_ends():
    x = np.arange(9.0)
    assert farthest_points(np.abs(x[:, None] - x), 3) == [4, 0, 8]
