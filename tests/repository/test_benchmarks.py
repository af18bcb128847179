"""Benchmarks run without errors. The values that they measure depend on the machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import browser
import pytest

ROOT = Path(__file__).parents[2]


def rows(script: str) -> list[list[str]]:
    """Return the rows of a quick run's table: measurement, goal, value and verdict.

    The verdict of each row must agree with the row's goal and value.
    """
    process = subprocess.run(
        [sys.executable, f"benchmarks/{script}", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    lines = [line for line in process.stdout.splitlines() if line.startswith("| ")][1:]
    found = [[cell.strip() for cell in line.split("|")[1:5]] for line in lines]
    assert found
    for _, goal, measured, verdict in found:
        sign, limit = goal[:1], goal[1:].strip()
        if sign not in ("≤", "≥"):
            assert verdict == ""
        # If printed value and limit are equal, further digits decide the verdict.
        elif float(measured) != float(limit):
            met = float(measured) >= float(limit)
            assert verdict == ("met" if met == (sign == "≥") else "missed")
    return found


@pytest.mark.slow
def test_imaging_prints_a_goal_and_a_measurement_in_every_row():
    found = rows("imaging.py")
    for what in ("quasi-coherent", "focal series", "numpy's", "torch's", "simulate", "memory"):
        assert any(what in row[0] and row[1] for row in found)


@pytest.mark.slow
def test_training_prints_a_table_of_every_measurement():
    found = rows("training.py")
    words = "step in the job", "first step", "processor", "per hour in float32"
    words += "Dice", "vectorized"
    words += "own noise / one noise for all", "noise separate [ms]", "noise shared [ms]"
    for word in (*words, "share of the measured matrix rate"):
        assert any(word in row[0] for row in found)


@pytest.mark.slow
def test_chosen_networks_tell_more_than_random_ones():
    found = rows("next.py")
    errors = {
        how: float(value)
        for what, _, value, _ in found
        for how in ("chosen", "random")
        if how in what
    }
    assert errors["chosen"] < errors["random"]
    assert found[0][-1] == "met"


@pytest.mark.slow
def test_the_explorer_has_size_and_times():
    browser.require()
    found = rows("explorer.py")
    assert [what for what, *_ in found] == [
        "16²: size [MB]",
        "16²: painted after [s]",
        "16²: hover [ms]",
    ]
    assert found[0][-1] == "met"


@pytest.mark.slow
def test_the_explorer_needs_chromium_and_says_so(tmp_path):
    process = subprocess.run(
        [sys.executable, "benchmarks/explorer.py", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": str(tmp_path)},
    )
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == "not installed: chromium (tests/helpers/browser.py install)\n"


@pytest.mark.slow
def test_convergence_meets_its_goals_on_a_small_structure():
    found = rows("convergence.py")
    goals = [(what, verdict) for what, goal, _, verdict in found if goal]
    assert len(goals) == 3
    assert all(verdict == "met" for _, verdict in goals)
    measured = {what: float(value) for what, _, value, _ in found}
    assert measured["Au: error of abTEM with pixels of 0.3 Å [%]"] > 5
    assert measured["Au: error of abTEM with pixels of 0.05 Å [%]"] < 2


@pytest.mark.slow
def test_schedule_runs_every_job_of_the_workflow_in_no_time():
    found = {what: float(measured) for what, _, measured, _ in rows("schedule.py")}
    (half,) = (int(m[1]) for what in found if (m := re.search(r"(\d+) jobs done", what)))
    (rest,) = (int(m[1]) for what in found if (m := re.search(r"the other (\d+)", what)))
    assert half + rest == 21
    # Waves, networks with histories, records, stores, figures and the report. Snakemake keeps one
    # more file for each output. In a folder, that is the file with its time.
    outputs = 4 + 2 * 4 + 4 + 3 + 2 * 5 + 1
    logs_and_benchmarks = 2 * 21
    files = found["all files, with Snakemake's files"]
    # Snakemake's log, and the configuration that it read.
    assert files == 2 * outputs + logs_and_benchmarks + 2


@pytest.mark.slow
def test_table_measures_seconds_and_memory_of_each_step():
    found = rows("table.py")
    assert len(found) == 5 * 2


@pytest.mark.slow
def test_evaluation_is_measured_against_bare_passes_and_at_three_sizes():
    found = rows("evaluation.py")
    assert sum("bare forward passes" in what for what, *_ in found) == 3
    for name in ("networks", "test conditions"):
        assert [what[0] for what, *_ in found if f"as many {name}" in what] == ["2", "4"]


@pytest.mark.slow
def test_memory_of_a_train_job_is_measured_and_counted():
    (host, limit, measured, verdict), (_, _, counted, _) = rows("memory.py")
    assert "host memory of a train job of 2 replicas" in host
    assert (limit, verdict) == ("≤ 12.00", "met")
    assert 0.5 < float(measured) / float(counted) < 2


@pytest.mark.slow
def test_studies_are_measured_from_check_to_run():
    words = "passband check", "snakemake -n"
    assert [what for what, *_ in rows("studies.py") if what.startswith(words)]


@pytest.mark.slow
def test_the_table_of_encoders_is_what_its_script_counts():
    printed = subprocess.run(
        [sys.executable, "benchmarks/encoders.py", "resnet18", "mit_b0", "timm-skresnet18"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    known, other, new = printed.splitlines()
    assert known.endswith("as in the table")
    assert other.endswith("as in the table")
    assert new.endswith("in the table: None")  # an encoder that the table lacks


@pytest.mark.slow
def test_thon_rings_meets_its_goals_in_a_small_field():
    found = rows("thon_rings.py")
    goals = [verdict for _, goal, _, verdict in found if goal]
    assert goals == ["met"] * 3
