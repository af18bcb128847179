"""The axes of a grid: limits, tokens, words and examples."""

import math
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
    assert (astigmatism.title, mtf.title) == ("astigmatism [nm]", "MTF at the Nyquist frequency")


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
def test_the_example_of_an_axis_is_a_range_of_allowed_values(axis):
    low, high = map(float, axis.example.split(":"))
    assert axis.minimum <= low < high <= axis.maximum


def test_axes_of_the_specimen_the_beam_energy_and_the_pixels_need_other_exit_waves():
    one = FURTHER_AXES["vibration_A"]
    keys = ("specimens.thermal.temperature_K", "microscope.energy_kev", "microscope.pixel_size_A")
    assert all(replace(one, key=key).needs_waves for key in keys)
    assert not any(axis.needs_waves for axis in (one, *MAIN_AXES.values()))


def test_a_text_is_a_value_in_a_unit_of_the_axis():
    cs = AXES["cs_um"]
    assert cs.parse("1.2", "cs_mm = 1.2", 1e3) == 1200
    assert cs.parse(" 0.30000000000000004 ", "cs") == 0.3
    assert math.copysign(1, cs.parse("-0.0", "cs")) == 1
    ends = [cs.minimum, cs.maximum]
    assert [cs.parse(f"{end}", "cs") for end in ends] == ends


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("cs_um", "abc", "must be between -9999.999 and 9999.999 µm, a number without its unit"),
        ("cs_um", "nan", "must be between -9999.999 and 9999.999 µm, a number without its unit"),
        ("cs_um", "1e400", "must be between -9999.999 and 9999.999 µm, a number without its unit"),
        ("cs_um", "10000", "must be between -9999.999 and 9999.999 µm"),
        ("cs_um", "0.0005", "is finer than the axis's resolution of 0.001 µm"),
        ("roughness", "", "must be between 0.0 and 0.5, a number"),
        ("roughness", "0.6", "must be between 0.0 and 0.5"),
        ("roughness", "0.0101", "is finer than the axis's resolution of 0.001"),
    ],
)
def test_a_text_that_is_no_value_of_the_axis_is_refused_in_one_line(name, text, says):
    with pytest.raises(ValueError, match=f"^what was written: {re.escape(says)}$"):
        AXES[name].parse(text, "what was written")


def test_a_value_without_words_is_written_as_python_does():
    with pytest.raises(ValueError, match=r"^0\.12345: is finer than the axis's resolution of"):
        AXES["defocus_nm"].checked(0.12345)
    with pytest.raises(ValueError, match=r"^20000: must be between -9999\.99 and 9999\.99 nm$"):
        AXES["defocus_nm"].within(2e4)
