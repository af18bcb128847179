"""What benchmarks share: timing of calls in turns, runs of Snakemake, and a table of goals."""

import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


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


def snakemake(folder: Path, *words: str) -> str:
    """Run Snakemake on ``study.yaml`` in a folder, and return what it prints.

    The program ends with the last lines of the output if Snakemake fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *words, "--configfile", "study.yaml"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"Snakemake failed:\n{done.stdout[-4000:]}")
    return done.stdout


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
