"""The risk over the coverage of expected Dice."""

import numpy as np
import pytest

from findings.trust.likeness import risk_coverage


def test_risk_over_coverage():
    dice = np.array([0.9, 0.5, 0.1])
    perfect = risk_coverage(dice, dice)
    assert perfect == pytest.approx((0.1 + 0.6 / 2 + 1.5 / 3) / 3)
    assert risk_coverage(-dice, dice) > perfect
    # Without any order, every part of the images has the mean risk.
    assert risk_coverage(np.ones(3), dice) == pytest.approx(0.5)
