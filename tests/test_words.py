"""Times, numbers and lists in words."""

import re
from pathlib import Path

import pytest

from passband.words import duration, in_bytes, listed, number_of, span, work

SOURCE = Path(__file__).parents[1] / "src"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (float("nan"), "–"),
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (1200, "20 min"),
        (7800, "2 h 10 min"),
        (7200, "2 h"),
        (172_800, "2 days"),
        (273_600, "3 days 4 h"),
        (1029 * 86_400 + 7200, "1,029 days"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0, "0 core-minutes"),
        (0.0024, "0.14 core-minutes"),
        (0.05, "3 core-minutes"),
        (1.99, "119 core-minutes"),
        (2, "2 core-hours"),
        (12.4, "12 core-hours"),
        (54_321, "54,321 core-hours"),
    ],
)
def test_short_work_is_in_minutes(hours, text):
    assert work(3600 * hours, "core") == text


def test_no_other_module_writes_durations():
    """A module that writes a number of minutes or hours in words would have its own format."""
    pattern = re.compile(r"\} (?:min|h|hours|minutes|days)\b")
    found = [path.name for path in SOURCE.rglob("*.py") if pattern.search(path.read_text("utf-8"))]
    assert found == ["words.py"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 kB"),
        (1500, "1.5 kB"),
        (999_499, "999 kB"),
        (1e6, "1 MB"),
        (2.5e8, "250 MB"),
        (1.25e9, "1.25 GB"),
        (3e12, "3 TB"),
    ],
)
def test_bytes_have_three_digits_and_the_unit_of_their_size(number, text):
    assert in_bytes(number) == text


def test_a_number_has_its_noun():
    assert [number_of(n, "job") for n in (0, 1)] == ["0 jobs", "1 job"]
    assert number_of(1234, "job") == "1,234 jobs"


def test_a_list_ends_with_a_word():
    assert [listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert listed(("a", "b", "c"), "or") == "a, b or c"


def test_a_range_of_one_number_is_the_number():
    assert (span(5, 20), span(-7.5, -7.5)) == ("5 to 20", "-7.5")
