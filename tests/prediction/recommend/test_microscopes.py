"""The microscopes under which recommendations are checked."""

import numpy as np
import pytest

from passband.axes import MAIN_AXES
from passband.config import validate
from passband.grid import Axes, Condition
from passband.prediction.recommend.microscopes import (
    BEYOND,
    drawn_inside,
    drawn_outside,
    microscopes,
)

RANGES = {
    "defocus_nm": (5.0, 20.0),
    "cs_um": (1.2, 60.0),
    "aperture_mrad": (10.0, 18.0),
    "dose_e_per_A2": (100.0, 1000.0),
}
#: Every condition is allowed, of a study with the main axes.
ANYWHERE = (lambda condition: True, Axes.main)


def shares(drawn):
    """Return where each value is in its range: 0 at the lower end, 1 at the upper end."""
    values = np.array([[getattr(c, name) for name in MAIN_AXES] for c in drawn])
    low, high = np.array([RANGES[name] for name in MAIN_AXES]).T
    values[:, 3], low[3], high[3] = np.log10(values[:, 3]), np.log10(low[3]), np.log10(high[3])
    return (values - low) / (high - low)


def test_microscopes_inside_fill_every_range_evenly():
    x = shares(drawn_inside(RANGES, 400, 0, *ANYWHERE))
    assert ((x >= 0) & (x <= 1)).all()
    np.testing.assert_allclose(x.mean(0), 0.5, atol=0.05)
    np.testing.assert_allclose(x.std(0), 1 / np.sqrt(12), atol=0.03)
    assert np.abs(np.corrcoef(x.T) - np.eye(4)).max() < 0.15


def test_microscopes_outside_are_outside_on_one_axis():
    x = shares(drawn_outside(RANGES, 200, 0, *ANYWHERE))
    outside = (x < 0) | (x > 1)
    assert (outside.sum(1) == 1).all()
    assert outside.sum(0).min() > 30
    assert x.min() > -BEYOND - 0.01
    assert x.max() < 1 + BEYOND + 0.01


def test_a_draw_depends_on_its_number_the_seed_and_the_ranges_only():
    for drawn in (drawn_inside, drawn_outside):
        assert drawn(RANGES, 5, 7, *ANYWHERE) == drawn(RANGES, 20, 7, *ANYWHERE)[:5]
        assert drawn(RANGES, 5, 7, *ANYWHERE) != drawn(RANGES, 5, 8, *ANYWHERE)


def test_an_axis_with_one_value_keeps_this_value():
    ranges = RANGES | {"cs_um": (1.2, 1.2)}
    drawn = [*drawn_inside(ranges, 30, 0, *ANYWHERE), *drawn_outside(ranges, 30, 0, *ANYWHERE)]
    assert {c.cs_um for c in drawn} == {1.2}


def test_a_condition_without_images_is_drawn_again():
    drawn = drawn_outside(RANGES, 100, 0, lambda condition: condition.aperture_mrad < 17, Axes.main)
    assert max(c.aperture_mrad for c in drawn) < 17
    ranges = RANGES | {"dose_e_per_A2": (0.01, 0.02), "aperture_mrad": (0.1, 1.0)}
    drawn = drawn_outside(ranges, 50, 0, *ANYWHERE)
    assert min(c.aperture_mrad for c in drawn) >= 0.1
    with pytest.raises(ValueError, match="no allowed condition"):
        drawn_inside(RANGES, 1, 0, lambda condition: False, Axes.main)


def test_the_draws_stay_the_same():
    """Results under drawn microscopes are kept, and would be computed again if draws changed."""
    assert drawn_inside(RANGES, 1, 0, *ANYWHERE) == [Condition(9.58, 25.985, 16.64, 216.78)]


def test_draws_of_a_study_with_the_main_axes_stay_the_same():
    """The results of older checks are kept under the ids of these conditions."""
    assert [c.id for c in drawn_inside(RANGES, 2, 0, *ANYWHERE)] == [
        "df+0009.58_cs+0025.985_ap016.64_ds000216.78",
        "df+0009.07_cs+0027.486_ap016.21_ds000133.48",
    ]
    assert [c.id for c in drawn_outside(RANGES, 2, 0, *ANYWHERE)] == [
        "df+0010.27_cs+0037.733_ap006.03_ds000140.41",
        "df+0011.34_cs+0063.351_ap015.35_ds000383.08",
    ]


def test_further_axes_of_a_study_are_drawn_too():
    axes = Axes({"astigmatism_nm": 0.0})
    study = RANGES | {"astigmatism_nm": (0.0, 8.0)}
    found = drawn_inside(study, 200, 0, lambda c: True, axes)
    inside = [c.value("astigmatism_nm") for c in found]
    assert 0 <= min(inside) < 0.5
    assert 7.5 < max(inside) <= 8
    np.testing.assert_allclose(np.mean(inside), 4, atol=0.5)
    outside = drawn_outside(study, 200, 0, lambda c: True, axes)
    beyond = [c for c in outside if c.value("astigmatism_nm") > 8]
    assert len(beyond) > 10
    assert all(5 <= c.defocus_nm <= 20 for c in beyond)
    assert all(c.value("astigmatism_nm") >= 0 for c in outside)


def test_microscopes_have_other_values_only_of_axes_behind_the_exit_wave():
    grid = {"energy_kev": [200, 300], "focal_spread_nm": [2, 3]}
    inside, outside = microscopes(validate({"grid": grid}), 6, 0)
    assert (len(inside), len(outside)) == (6, 2)
    drawn = [dict(condition.further) for condition in (*inside, *outside)]
    assert not any("energy_kev" in further for further in drawn)
    assert len({further["focal_spread_nm"] for further in drawn}) > 4
