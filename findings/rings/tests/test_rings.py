"""How choices of networks for micrographs are compared."""

import numpy as np
from thresholds import mask_of_discs

from findings.rings import rings
from passband.grid import Condition
from passband.scores import dice_of_masks


def test_the_interval_of_a_difference_is_wider_if_images_of_a_region_are_alike():
    random = np.random.default_rng(0)
    difference = np.repeat(random.normal(0.1, 0.05, 10), 10)
    regions = [f"{k // 10}" for k in range(100)]
    low, high = rings.interval(difference, regions)
    assert low < difference.mean() < high
    apart = rings.interval(difference, [str(k) for k in range(100)])
    assert high - low > 2 * (apart[1] - apart[0])


def test_the_nearest_condition_has_the_same_dose():
    conditions = [
        Condition(defocus, 1040, 14.5, dose)
        for defocus, dose in ((90, 200), (140, 2000), (215, 200))
    ]
    assert rings.nearest(135, conditions, 200) == conditions[0].id
    assert rings.nearest(135, conditions, 2000) == conditions[1].id


def test_a_blur_threshold_finds_dark_discs():
    mask = mask_of_discs((128, 128), (60, 64, 22))
    image = 100 - 40 * mask + np.random.default_rng(0).normal(0, 10, mask.shape)
    found = rings.blur_threshold(image)
    assert dice_of_masks(found, mask > 0) > 0.95
