"""What a run looks like in a terminal and in a pipe."""

import io
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from passband.config import load
from passband.results import Results
from passband.runs import display as module
from passband.runs.display import Bar, Lines, counts, display
from passband.runs.job_states import Run
from passband.runs.study_jobs import Job

#: The time of the clock that the displays see [s].
NOW = 1.8e9


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stop the clock, since a machine may be slow."""
    stopped = SimpleNamespace(time=lambda: NOW, localtime=time.localtime, strftime=time.strftime)
    monkeypatch.setattr(module, "time", stopped)


STUDY = load(Path(__file__).parents[1] / "data" / "smallest.yaml")


def a_job(name, log="", since=NOW, **values):
    return Job("train", str(log), {"specimen": name}, since=since, **values)


def make_run(networks=20):
    run = Run(Results(STUDY, Path("nowhere")))
    run.seconds = {"train": 100.0, "figure": 10.0, "ood": 10.0}
    run.begin({"train": networks, "figure": 2, "ood": 1}, NOW - 60)
    return run


def train(run, number):
    """Note networks that are trained, as :meth:`Run.read` does."""
    run.done["train"] += number
    run.took["train"] += 10 * number


def test_a_pipe_has_lines_and_a_terminal_has_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        assert isinstance(display(Terminal(), make_run()), Bar)
        assert isinstance(display(io.StringIO(), make_run()), Lines)
        patch.setenv("TERM", "dumb")
        assert isinstance(display(Terminal(), make_run()), Lines)


def test_a_pipe_has_few_lines_however_many_jobs_there_are(monkeypatch):
    monkeypatch.setattr(module, "_AT_LEAST_S", 0.0)
    file, run = io.StringIO(), make_run(networks=1000)
    lines = display(file, run, "x.log")
    lines.start()
    for _ in range(1000):
        train(run, 1)
        lines.update()
    lines.stop()
    printed = file.getvalue().splitlines()
    assert printed[:2] == ["smallest: 1,003 jobs to run", "Snakemake's messages are in x.log"]
    assert 9 <= len(printed[2:-1]) <= 11
    assert re.match(r"   10%  train 10\d of 1,000; \d+ min", printed[2])
    assert printed[-1] == "1,000 of 1,003 jobs are done after 1 min"
    assert "\x1b" not in file.getvalue()


def test_a_line_without_a_job_at_work_has_no_empty_part(monkeypatch):
    monkeypatch.setattr(module, "_AT_LEAST_S", 0.0)
    file, run = io.StringIO(), make_run(networks=3)
    train(run, 3)  # the figures have not begun
    display(file, run).update()
    assert re.fullmatch(r"  +\d+%  \d+ s left\n", file.getvalue())


def test_a_pipe_has_no_line_within_seconds_of_the_line_before():
    file, run = io.StringIO(), make_run(networks=5)
    lines = display(file, run)
    for _ in range(5):
        train(run, 1)
        lines.update()
    assert file.getvalue() == ""


@pytest.mark.parametrize("kind", [Lines, Bar])
def test_a_failure_shows_the_last_lines_of_its_log_and_nothing_is_markup(tmp_path, kind):
    log = tmp_path / "train.log"
    log.write_text("first\n" + "\n".join(f"line {k}" for k in range(5)) + "\n\x1b[2J[red]</b>\a\n")
    file = io.StringIO()
    terminal = kind is Bar
    console = Console(
        file=file, force_terminal=terminal, width=60, markup=False, emoji=False, no_color=True
    )
    shown = kind(console, make_run())
    shown.failure(a_job("[bold]gold", log, NOW - 83, time=NOW))
    printed = file.getvalue()
    assert "failed after 1 min 23 s: train [bold]gold" in printed
    assert "    line 4" in printed
    assert "    line 0" not in printed
    assert " [2J[red]</b>" in printed
    assert "\x1b[2J" not in printed
    assert "\a" not in printed
    assert f"its log: {log}" in printed  # a path is not broken into lines


def test_a_failure_without_a_log_is_shown(tmp_path):
    file = io.StringIO()
    shown = display(file, make_run())
    shown.failure(a_job("gold", since=0))
    shown.failure(a_job("gold", tmp_path / "none.log", since=0))
    assert file.getvalue().splitlines() == [
        "failed: train gold",
        "failed: train gold",
        f"  its log: {tmp_path}/none.log",
    ]


def test_a_bar_shows_stages_dice_and_what_runs_where_and_how_far():
    run = make_run()
    train(run, 3)
    run.dice += [0.9, 0.7, 0.95]
    run.running = {"d": a_job("gold", host="node7", share=0.25), "e": a_job("silver")}
    run.running |= {f"x{k}": a_job("more") for k in range(9)}
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, no_color=True)
    console.print(Bar(console, run)._draw())
    printed = re.sub(r"\x1b\[\d*m", "", file.getvalue())
    assert "train 3 of 20   analysis 0 of 1   figures 0 of 2" in printed
    assert "Dice on validation images: 0.90, from 0.70 to 0.95 (3 networks)" in printed
    (gold,) = [line for line in printed.splitlines() if "train gold" in line]
    assert gold.split()[0] == "runs"
    assert re.search(r"node7 +25% +0 s *$", gold)
    (silver,) = [line for line in printed.splitlines() if "train silver" in line]
    assert re.search(r"train silver +0 s *$", silver)
    assert "and 5 more" in printed
    assert all(len(line.rstrip()) <= 80 for line in printed.splitlines())


@pytest.mark.parametrize("width", [1, 20, 300])
def test_a_bar_fits_into_any_terminal(width):
    run, file = make_run(), io.StringIO()
    train(run, 2)
    run.running["d"] = a_job("gold " * 50)
    console = Console(file=file, force_terminal=True, width=width, height=5)
    bar = Bar(console, run)
    bar.start()
    bar.stop()
    assert "2 of 23 jobs are done" in " ".join(file.getvalue().split())


@pytest.mark.parametrize(
    ("failed", "why", "says"),
    [
        ([], "", "20 of 23 jobs are done after 1 min"),
        (["z"], "", "20 of 23 jobs are done after 1 min; 1 failed"),
        (["z"], "stopped", "20 of 23 jobs are done after 1 min; stopped"),
    ],
)
def test_the_last_line_says_how_a_run_ended(failed, why, says):
    file, run = io.StringIO(), make_run()
    train(run, 20)
    run.failed = {log: Job("figure", log) for log in failed}
    display(file, run).stop(why)
    assert file.getvalue().strip() == says


def test_stages_are_in_the_workflows_order_and_failures_are_counted():
    run = make_run()
    jobs = {"figure": 1, "mine": 2, "ood": 1, "aggregate": 1, "train": 2, "simulate": 3}
    run.begin(jobs, 0.0)
    run.failed = {"1": a_job("gold")}
    assert counts(run) == [
        "simulate 0 of 3", "train 0 of 2 (1 failed)", "analysis 0 of 2", "figures 0 of 1",
        "mine 0 of 2",
    ]  # fmt: skip
    assert counts(run, False) == ["train 0 of 2 (1 failed)"]
