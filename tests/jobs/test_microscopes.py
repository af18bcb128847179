"""The microscopes under which recommendations are checked."""

from passband.config import validate
from passband.jobs.microscopes import microscopes


def test_microscopes_have_other_values_only_of_axes_behind_the_exit_wave():
    grid = {"energy_kev": [200, 300], "focal_spread_nm": [2, 3]}
    inside, outside = microscopes(validate({"grid": grid}), 6, 0)
    assert (len(inside), len(outside)) == (6, 2)
    drawn = [dict(condition.further) for condition in (*inside, *outside)]
    assert not any("energy_kev" in further for further in drawn)
    assert len({further["focal_spread_nm"] for further in drawn}) > 4
