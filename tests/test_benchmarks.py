"""Benchmarks run; what they measure depends on the machine."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_imaging_prints_a_goal_and_a_measurement_in_every_row():
    process = subprocess.run(
        [sys.executable, "benchmarks/imaging.py", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in process.stdout.splitlines()
        if line.startswith("| ")
    ][1:]
    for what in ("quasi-coherent", "focal series", "numpy's", "torch's", "simulate", "memory"):
        assert any(what in row[0] and row[1] for row in rows)
    for _, goal, measured, verdict in rows:
        assert float(measured) >= 0
        sign, _, limit = goal.partition(" ")
        if not goal:
            assert verdict == ""
        # A tie as printed may be decided by digits that are not.
        elif measured != limit:
            met = float(measured) > float(limit) if sign == "≥" else float(measured) < float(limit)
            assert verdict == ("met" if met else "missed")
