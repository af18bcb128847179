"""Durations in words."""

import re
from pathlib import Path

import pytest

from passband.durations import duration, work

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
    assert found == ["durations.py"]
