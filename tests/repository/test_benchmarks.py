"""Benchmarks run without errors. The values that they measure depend on the machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import browser
import pytest

from passband.runs import rates

ROOT = Path(__file__).parents[2]


def cells(script: str, *options: str, header: bool = False) -> list[list[str]]:
    """Return the cells of the table that a script prints, without its first row or with it."""
    process = subprocess.run(
        [sys.executable, f"benchmarks/{script}", *options], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    lines = [line for line in process.stdout.splitlines() if line.startswith("| ")]
    lines = lines if header else lines[1:]
    assert lines
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def rows(script: str, *options: str) -> list[list[str]]:
    """Return the rows of a quick run's table: measurement, goal, value and verdict.

    The verdict of each row must agree with the row's goal and value.
    """
    found = cells(script, "--quick", *options)
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
def test_masks_compares_onnx_with_torch():
    found = rows("masks.py")
    for what in ("passband predict", "ONNX / torch", "largest difference", "pixels whose label"):
        assert any(what in row[0] for row in found)
    (difference,) = (row for row in found if "difference" in row[0])
    assert difference[3] == "met"
    memory = [float(row[2]) for row in found if "memory" in row[0]]
    assert len(memory) == 3
    assert all(0.1 < each < 0.4 for each in memory)  # that of the command, not of this benchmark


@pytest.mark.slow
def test_heads_prints_a_step_and_a_decoder_with_their_goals():
    found = rows("heads.py")
    for what in ("step with votes / without", "decoder / network", "particles / whole"):
        assert any(what in row[0] and row[1] for row in found)


@pytest.mark.slow
@pytest.mark.long
def test_training_prints_a_table_of_every_measurement():
    found = rows("training.py")
    words = "step in the job", "first step", "processor", "per hour in float32"
    words += "Dice", "vectorized", "with compiled functions / by torch alone"
    words += "own noise / one noise for all", "noise separate [ms]", "noise shared [ms]"
    for word in (*words, "share of the measured matrix rate"):
        assert any(word in row[0] for row in found)


@pytest.mark.slow
@pytest.mark.long
def test_trainings_are_compared_with_those_of_another_clone():
    first, _, dice = rows("training.py", "--against", str(ROOT))
    assert "this version / the other" in first[0]
    assert 0.2 < float(first[2]) < 5
    assert float(dice[2]) == 0


@pytest.mark.long
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
@pytest.mark.long
def test_recommendations_and_the_explorer_have_time_memory_and_size():
    found = rows("ranking.py")
    scale = "8 networks under 4 conditions"
    commands = f"recommend, {scale}", f"recommend again, {scale}", f"explore, {scale}"
    assert [what for what, *_ in found] == [
        *(f"{c}: {what}" for c in commands for what in ("processor time [s]", "memory [GB]")),
        f"explore, {scale}: page [MB]",
    ]
    assert found[-1][-1] == "met"
    assert all(float(value) > 0 for _, _, value, _ in found)


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


@pytest.mark.long
def test_schedule_runs_every_job_of_the_workflow_in_no_time():
    found = {what: float(measured) for what, _, measured, _ in rows("schedule.py")}
    (half,) = (int(m[1]) for what in found if (m := re.search(r"(\d+) jobs done", what)))
    (rest,) = (int(m[1]) for what in found if (m := re.search(r"the other (\d+)", what)))
    assert half + rest == 22
    # Waves, networks with histories, records, stores, figures and both pages. Snakemake keeps one
    # more file for each output. In a folder, that is the file with its time.
    outputs = 4 + 2 * 4 + 4 + 3 + 2 * 5 + 2
    logs_and_benchmarks = 2 * 22
    files = found["all files, with Snakemake's files"]
    # Snakemake's log, and the configuration that it read.
    assert files == 2 * outputs + logs_and_benchmarks + 2


@pytest.mark.slow
@pytest.mark.long
def test_table_measures_seconds_and_memory_of_each_step():
    found = rows("table.py")
    assert len(found) == 5 * 2


@pytest.mark.long
def test_evaluation_is_measured_against_bare_passes_and_at_three_sizes():
    found = rows("evaluation.py")
    assert sum("bare forward passes" in what for what, *_ in found) == 3
    for name in ("networks", "test conditions"):
        assert [what[0] for what, *_ in found if f"as many {name}" in what] == ["2", "4"]


@pytest.mark.long
def test_memory_of_a_train_job_is_measured_and_estimated():
    (host, limit, measured, verdict), (_, _, estimated, _) = rows("memory.py")
    assert "host memory of a train job of 2 replicas" in host
    assert (limit, verdict) == ("≤ 12.00", "met")
    assert 0.5 < float(measured) / float(estimated) < 2


@pytest.mark.slow
def test_studies_are_measured_from_check_to_run():
    words = "passband check", "snakemake -n"
    assert [what for what, *_ in rows("studies.py") if what.startswith(words)]


@pytest.mark.long
def test_size_counts_lines_functions_and_importers(tmp_path):
    files = {
        "config/study.py": "def axes(own: dict[str, float]): ...\n",
        "scores.py": '"""One.\n\nTwo.\n"""\n\n#: A comment.\nN = """a\n\nb"""\n',
        "cli.py": (
            "from passband import scores\n\n\n"
            "def show(study, *, results, own: Mapping[str, float] | None = None):\n"
            '    """Three."""\n'
            "    return (\n        study  # why\n    )\n\n\n"
            "def index(own: int): ...\n"
        ),
        "door.py": "import passband.scores\nimport passband.cli\n",
    }
    files = {f"src/passband/{name}": text for name, text in files.items()}
    lines = sum(text.count("\n") for text in files.values())
    files |= {
        "tests/test_one.py": "ONE = 1\n",
        "docs/scripts/draw.py": '"""Draws."""\nTWO = 1 + 1\n',
        "benchmarks/speed.py": "THREE = 3\n",
        "findings/a/locked.py": "A = 1\nB = 2\n\n",
        "findings/a/tests/test_a.py": "# why\nA = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "findings/locked.py").symlink_to("a/locked.py")  # is counted once
    clones = [tmp_path, ROOT]
    (_, *columns), *counted = cells("size.py", *map(str, clones), header=True)
    assert columns == [clone.name for clone in clones]
    here = {what: now for what, now, _ in counted}
    parts = {
        "src": (4, lines, 12),
        "tests": (1, 1, 1),
        "scripts": (2, 3, 2),
        "findings": (1, 3, 2),
        "findings' tests": (1, 2, 1),
    }
    for part, numbers in parts.items():
        names = [f"{what} of {part}" for what in ("files", "lines", "code lines")]
        assert [int(here.pop(name)) for name in names] == [*numbers], part
    assert [*map(int, here.values())] == [5, 1, 1, 1, 11]
    assert all(int(now.replace(",", "")) > 0 for *_, now in counted[:15])


@pytest.mark.long
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
@pytest.mark.long
def test_plan_is_compared_with_the_jobs_of_a_finished_study(tmp_path):
    """Predictions of this machine can differ from the jobs, which another machine has run."""
    archive = ROOT / "tests/data/finished_03.tar.xz"
    subprocess.run(["tar", "xf", archive, "results/smallest"], cwd=tmp_path, check=True)
    results = tmp_path / "results/smallest"
    found = cells("plan.py", "--finished", str(results), "--seconds", "0.5")
    stages = {"simulate": 0.0, "train": 0.0, "evaluate": 0.0, rates.OTHERS: 0.0}
    for file in (results / "benchmarks").rglob("*.tsv"):
        stage = file.relative_to(results / "benchmarks").parts[0]
        head, values = file.read_text().splitlines()
        seconds = dict(zip(head.split("\t"), values.split("\t"), strict=True))["s"]
        stages[stage if stage in stages else rates.OTHERS] += float(seconds)
    (all_jobs, *_), *others = found
    assert all_jobs == "smallest, all jobs without Snakemake"
    measured = {row[0]: row[2] for row in others}
    assert measured == {
        f"smallest, {stage} (with its start)": f"{seconds:.0f} s"
        for stage, seconds in stages.items()
    }
    assert found[0][2] == f"{sum(stages.values()):.0f} s"
    for _, predicted, measured, ratio, verdict in found:
        a, b = (float(text.removesuffix(" s")) for text in (predicted, measured))
        assert (a - 0.5) / (b + 0.5) - 0.01 <= float(ratio) <= (a + 0.5) / (b - 0.5) + 0.01
        assert verdict in ("met", "missed", "")
    assert (found[0][-1] == "met") == (1 / 1.3 <= float(found[0][3]) <= 1.3)


@pytest.mark.long
def test_the_time_of_a_new_part_is_measured():
    found = cells("parts.py", "figure", "noise")
    whole, *parts = found
    names = [f"{kind}: {what} [s]" for kind in ("figure", "noise") for what in ("check", "run")]
    assert [row[0] for row in parts] == names
    assert all(float(row[2]) > 0 for row in parts)
    figure, noise = (float(row[2]) for row in parts[1::2])
    assert figure < noise  # a figure trains nothing
    assert figure < float(whole[2])
