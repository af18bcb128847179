"""Durations in words, for all pages and displays."""

import math


def duration(seconds: float) -> str:
    """Return a time in words, such as ``45 s``, ``3 min 20 s``, ``2 h 10 min``, ``3 days 4 h``.

    Parameters
    ----------
    seconds : float
        The time [s]. A negative time counts as 0 s.

    Returns
    -------
    str
        The time in at most two units; a dash for NaN and infinity.
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
    """Return the time of a core or a GPU in words, such as ``12 core-minutes``, ``3 GPU-hours``.

    Parameters
    ----------
    seconds : float
        The time [s].
    unit : str
        ``core`` or ``GPU``.

    Returns
    -------
    str
        Below two hours the time in minutes, and from two hours on in hours, which clusters count.
    """
    value, of = (seconds / 3600, "hours") if seconds >= 7200 else (seconds / 60, "minutes")
    return f"{value:,.0f} {unit}-{of}" if value >= 10 else f"{value:.2g} {unit}-{of}"
