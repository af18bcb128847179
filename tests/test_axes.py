"""The axes of a grid: limits, tokens, words and examples."""

import re
from dataclasses import replace

import pytest

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES
from passband.grid import Condition


@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_limits_fit_into_ids(end):
    condition = Condition(*(getattr(axis, end) for axis in MAIN_AXES.values()))
    assert Condition.parse(condition.id) == condition


def test_tokens_and_names_of_axes_are_distinct():
    assert len({axis.token for axis in AXES.values()}) == len(AXES)
    assert all(re.fullmatch("[a-z]+", axis.token) for axis in AXES.values())


def test_words_and_titles_have_no_unit_of_a_pure_number():
    astigmatism, mtf = (AXES[name] for name in ("astigmatism_nm", "mtf_nyquist"))
    assert (astigmatism.words("5"), mtf.words("0.5")) == ("5 nm", "0.5")
    assert (astigmatism.title, mtf.title) == ("astigmatism (nm)", "MTF at the Nyquist frequency")


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
def test_the_example_of_an_axis_is_a_range_of_allowed_values(axis):
    low, high = map(float, axis.example.split(":"))
    assert axis.minimum <= low < high <= axis.maximum


def test_axes_of_the_specimen_the_beam_energy_and_the_pixels_need_other_exit_waves():
    one = FURTHER_AXES["vibration_A"]
    keys = ("specimens.thermal.temperature_K", "microscope.energy_kev", "microscope.pixel_size_A")
    assert all(replace(one, key=key).needs_waves for key in keys)
    assert not any(axis.needs_waves for axis in (one, *MAIN_AXES.values()))
