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
    rows = [line for line in process.stdout.splitlines() if "≤" in line or "≥" in line]
    for what in ("quasi-coherent", "focal series", "numpy's", "torch's", "simulate", "memory"):
        assert any(what in row for row in rows)
    for row in rows:
        goal, measured = row.removesuffix("  missed").replace("≥", "≤").rpartition("≤")[2].split()
        assert float(goal) > 0
        assert float(measured) > 0
        met = float(measured) >= float(goal) if "≥" in row else float(measured) <= float(goal)
        # A tie as printed may be decided by digits that are not.
        assert row.endswith("missed") != met or goal == measured
