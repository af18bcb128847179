"""Benchmarks run; what they measure depends on the machine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def rows(script: str) -> list[list[str]]:
    """Return the rows of the table that a quick run prints: what, goal, measured, verdict.

    Every verdict must be what goal and measurement say.
    """
    process = subprocess.run(
        [sys.executable, f"benchmarks/{script}", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert process.returncode == 0, process.stderr
    lines = [line for line in process.stdout.splitlines() if line.startswith("| ")][1:]
    found = [[cell.strip() for cell in line.split("|")[1:5]] for line in lines]
    for _, goal, measured, verdict in found:
        sign, limit = goal[:1], goal[1:].strip()
        if sign not in ("≤", "≥"):
            assert verdict == ""
        # A tie as printed may be decided by digits that are not.
        elif float(measured) != float(limit):
            met = float(measured) >= float(limit)
            assert verdict == ("met" if met == (sign == "≥") else "missed")
    return found


@pytest.mark.slow
def test_imaging_prints_a_goal_and_a_measurement_in_every_row():
    found = rows("imaging.py")
    for what in ("quasi-coherent", "focal series", "numpy's", "torch's", "simulate", "memory"):
        assert any(what in row[0] and row[1] for row in found)
    assert all(float(measured) >= 0 for _, _, measured, _ in found)


@pytest.mark.slow
def test_training_prints_a_table_of_every_measurement():
    found = rows("training.py")
    words = "step in the job", "first step", "processor", "per hour in float32", "Dice", "stacked"
    for word in (*words, "share of the measured matrix rate"):
        assert any(word in row[0] for row in found)
    assert all(float(measured) > 0 or "Dice" in what for what, _, measured, _ in found)


@pytest.mark.slow
def test_schedule_runs_every_job_of_the_workflow_in_no_time():
    found = {what: float(measured) for what, _, measured, _ in rows("schedule.py")}
    assert all(value > 0 for value in found.values())
    (half,) = (int(m[1]) for what in found if (m := re.search(r"(\d+) jobs done", what)))
    (rest,) = (int(m[1]) for what in found if (m := re.search(r"the other (\d+)", what)))
    assert half + rest == 20
    # Waves, networks with histories, records, stores and figures; of each Snakemake keeps a note.
    # A folder's own file is the mark of its time.
    outputs = 4 + 2 * 4 + 4 + 3 + 2 * 5
    logs_and_benchmarks = 2 * 20
    files = found["files in all, Snakemake's included"]
    assert files == 2 * outputs + logs_and_benchmarks + 1  # Snakemake's log


@pytest.mark.slow
def test_table_measures_seconds_and_memory_of_each_step():
    found = rows("table.py")
    assert len(found) == 5 * 2
    assert all(float(measured) > 0 for _, _, measured, _ in found)
