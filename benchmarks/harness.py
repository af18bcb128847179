"""What benchmarks share: sides of a ratio timed in turns, and a table of goals and measurements."""

import time
from collections.abc import Callable


def side_by_side(
    rounds: int,
    *calls: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the least seconds of each call, timed in turns after a first one that is not."""
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
    """Rows of what was measured, printed as they come, in Markdown."""

    def __init__(self):
        print("| what | goal | measured | |\n|---|---|---|---|")

    def row(self, what: str, goal: float | None, value: float, least: bool = False):
        """Print a row; `least` if the goal is the least value allowed, not the most."""
        if goal is None:
            print(f"| {what} |  | {value:.3g} |  |", flush=True)
            return
        sign, met = ("≥", value >= goal) if least else ("≤", value <= goal)
        verdict = "met" if met else "missed"
        print(f"| {what} | {sign} {goal:.2f} | {value:.2f} | {verdict} |", flush=True)
