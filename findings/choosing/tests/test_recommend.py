"""Intervals over tests of the Dice of networks that are ranked first."""

import numpy as np

from findings.choosing import recommend as script


def test_a_mean_over_tests_has_its_interval():
    value, low, _, high = script._words(0.1 * (np.arange(40) % 2)).split()
    assert float(low[1:]) < float(value) == 0.05 < float(high[:-1])
