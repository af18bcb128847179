"""The nearest network in parameters by range."""

import warnings

import numpy as np
import pytest

from passband.grid import Axes, Condition
from passband.prediction.recommend.nearest_network import distances_by_range, nearest


def test_of_equally_near_networks_the_best_on_average_is_chosen():
    apart = np.array([[1.0, 3.0], [1.0, 2.0], [2.0, 5.0]])
    assert list(nearest(apart, np.array([0.5, 0.7, 0.9]))) == [1, 1]
    assert list(nearest(apart, np.array([0.8, 0.7, 0.9]))) == [0, 1]
    elsewhere = np.array([[0.5, 0.7], [0.7, 0.5], [0.9, 0.9]])
    assert list(nearest(apart[:, [0, 0]], elsewhere)) == [1, 0]


def test_a_mixture_has_no_distance_and_conditions_have_that_in_units_of_the_range():
    train = Axes.main.conditions(
        {"defocus_nm": [5, 20], "cs_um": [1.2], "aperture_mrad": [16], "dose_e_per_A2": [100, 1000]}
    )
    asked = [Condition(12.5, 1.2, 16, 10**2.25)]
    apart = distances_by_range([*train, None], asked)[:, 0]
    expected = [np.hypot(0.5, x) for x in (0.25, 0.75, 0.25, 0.75)]
    assert apart[:4] == pytest.approx(expected, abs=1e-4)
    assert np.isnan(apart[4])
    with warnings.catch_warnings(action="error"):  # of mixtures alone, too
        assert np.isnan(distances_by_range([None, None], asked)).all()


def test_an_axis_with_one_value_does_not_count():
    train = [Condition(d, 1.2, 16, 100) for d in (5, 20)]
    apart = distances_by_range(train, [Condition(5, 1.2, 16, 100), Condition(5, 20, 10, 100)])
    np.testing.assert_array_equal(apart[:, 0], apart[:, 1])
    assert apart[0].tolist() == [0, 0]
