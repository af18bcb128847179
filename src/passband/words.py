"""Times, numbers and lists in words, for all messages, pages and displays."""

import math
from collections.abc import Sequence


def duration(seconds: float) -> str:
    """Return a time in at most two units, such as ``45 s``, ``3 min 20 s`` and ``3 days 4 h``.

    A negative time counts as 0 s. NaN and infinity are a dash.
    """
    if not math.isfinite(seconds):
        return "–"
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 10 and rest:
        return f"{minutes} min {rest} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} days {hours} h" if hours and days < 100 else f"{days:,} days"


def work(seconds: float, unit: str) -> str:
    """Return the time of a ``core`` or a ``GPU``, such as ``12 core-minutes`` and ``3 GPU-hours``.

    From two hours on, it is in hours, which clusters count.
    """
    value, of = (seconds / 3600, "hours") if seconds >= 7200 else (seconds / 60, "minutes")
    return f"{value:,.0f} {unit}-{of}" if value >= 10 else f"{value:.2g} {unit}-{of}"


def in_bytes(number: float) -> str:
    """Return a number of bytes with three digits, such as ``1.25 GB``."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number / 1e3:.3g} kB"


def number_of(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 network`` and ``1,234 networks``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as an English list, such as ``a, b and c``, or ``a, b or c``."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def span(low: float, high: float) -> str:
    """Return a range of numbers, such as ``5 to 20``, or the number if both are equal."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def columns(rows: list[list[str]]) -> str:
    """Return rows of text in aligned columns, without spaces at the ends of lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
