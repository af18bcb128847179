"""What benchmarks share: the timing of calls in turns, and a table of goals and measurements."""

import math
import time
from collections.abc import Callable


def side_by_side(
    rounds: int,
    *calls: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the shortest time of each call [s], timed in turns after an untimed call."""
    for call in calls:
        call()
    times = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            started = clock()
            call()
            taken.append(clock() - started)
    return [min(taken) for taken in times]


class Table:
    """A Markdown table of measurements, printed row by row."""

    def __init__(self):
        print("| what | goal | measured | |\n|---|---|---|---|")

    def row(
        self, what: str, goal: float | None, value: float, least: bool = False, digits: int = 2
    ):
        """Print a row. The goal is the largest allowed value, or with `least` the smallest one.

        Raises ValueError if the value is not finite, or if it is negative and has a goal.
        """
        if not math.isfinite(value) or (goal is not None and value < 0):
            raise ValueError(f"{what}: measured {value}")
        if goal is None:
            print(f"| {what} |  | {value:.3g} |  |", flush=True)
            return
        sign, met = ("≥", value >= goal) if least else ("≤", value <= goal)
        verdict = "met" if met else "missed"
        print(f"| {what} | {sign} {goal:.{digits}f} | {value:.{digits}f} | {verdict} |", flush=True)
