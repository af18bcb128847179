"""The state of a study with synthetic results. tests/workflow uses real results."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from bare_stores import write_bare

from passband import PassbandError, cli, commands, log_lines
from passband.config import load, validate
from passband.grid import batches
from passband.jobs import running
from passband.network_id import NetworkId
from passband.results import Results, layout
from passband.runs import run_files, status_page
from passband.runs.display import clock
from passband.runs.job_states import Run
from passband.runs.study_jobs import STATES
from passband.storage import integrity, lease

NOW = 1_800_000_000.0
STUDY = validate(
    {
        "study": {
            "name": "small",
            "replicas": 5,
            "replicas_per_job": 3,
            "structures": {"train": 100, "val": 10, "test": 10},
        },
        "grid": {
            "defocus_nm": [-5, 20],
            "cs_um": [1.2, 60],
            "aperture_mrad": [10, 18],
            "dose_e_per_A2": [100],
        },
    }
)
CELLS = [NetworkId("gold", "compact-w8-d3", c.id) for c in STUDY.train_conditions]
BATCHES = batches(5, 3)  # of three and of two networks
STARTED = "12:00:00 started on node1, process 7\n"
LIVES, FAILS = (
    STARTED + "12:01:00 replica 0: val_loss 0.5, Dice 0.9\n",
    STARTED + "12:01:00 error: train a: no\n",
)
GOOD = STARTED + "12:01:00 train a b: 3 network(s) in x.safetensors in 60.0 s\n"


def scan(study, folder, now=NOW) -> Run:
    return Run(Results(study, folder)).read(now, logs=True)


class Folder:
    """A folder of results. Its methods add files with given ages in seconds."""

    def __init__(self, folder: Path):
        self.folder = folder

    def put(self, name: str, age: float, text: str = "") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (NOW - age, NOW - age))

    def log(self, stage: str, cell: NetworkId, batch: str, age: float, text: str) -> None:
        self.put(f"logs/{stage}/{cell}/{batch}.log", age, text)

    def trained(self, cell: NetworkId, batch: str, age: float) -> None:
        self.put(f"networks/{cell}/{batch}.safetensors", age)
        self.put(f"networks/{cell}/{batch}.csv", age)
        self.log("train", cell, batch, age, GOOD)

    def tested(self, cell: NetworkId, batch: str, age: float) -> None:
        self.put(f"records/{cell}/{batch}.zarr.zip", age)
        self.log("evaluate", cell, batch, age, GOOD.replace("train", "evaluate"))

    def look(self, now: float = NOW) -> Run:
        return scan(STUDY, self.folder, now)

    def states(self, stage: str) -> dict[tuple[str, str], str]:
        """Return each job's state, by condition id and batch of replicas."""
        found = {}
        for job in self.look().stages[stage]:
            found[job.cells[0].condition, Path(job.log).stem] = job.state
        return found


@pytest.fixture
def results(tmp_path):
    return Folder(tmp_path / "results" / "small")


def test_every_job_of_a_study_that_has_not_begun_waits(results):
    found = results.look()
    assert {stage: len(jobs) for stage, jobs in found.stages.items()} == {
        "simulate": 2 + 1 + 1,
        "train": 8 * 2,
        "evaluate": 8 * 2,
        "information": 1,
        "aggregate": 1,
        "ood": 1,
        "figures": 5,
        "report": 1,
        "explorer": 1,
    }
    assert {job.state for job in found.jobs} == {"waiting"}
    assert found.networks("train") == (0, 40)
    assert found.rate("train") is None
    assert found.end is None
    assert not found.complete


def test_a_specimen_that_is_only_tested_on_has_one_split_and_no_networks(tmp_path):
    content = STUDY.model_dump()
    content["specimens"]["silver"] = {"material": "Ag", "trained": False}
    with_silver = validate(content)
    found = scan(with_silver, tmp_path)
    before = scan(STUDY, tmp_path)
    new = {job.log for job in found.jobs} - {job.log for job in before.jobs}
    assert new == {str(tmp_path / "logs/simulate/silver/test/00000.log")}
    assert found.cells == before.cells
    assert "silver" not in status_page.render(found)


@pytest.mark.parametrize(
    ("age", "text", "state", "silent"),
    [
        (10, STARTED, "running", False),
        (run_files.PATIENCE_S - 1, LIVES, "running", False),
        (run_files.PATIENCE_S + 1, LIVES, "failed", True),
        (10, "", "running", False),  # the file exists before its first line
        (10, LIVES + "12:02:00 tr", "running", False),  # ends in the middle of a line
        (10, FAILS, "failed", False),
        (1e6, FAILS, "failed", False),
        (10, FAILS + STARTED, "running", False),  # the next attempt
        (1e6, FAILS + STARTED, "failed", True),
        (10, GOOD, "waiting", False),  # its output was deleted
        (10, GOOD + STARTED, "running", False),
    ],
)
def test_a_log_without_an_output_shows_its_jobs_state(results, age, text, state, silent):
    results.log("train", CELLS[1], "r000-002", age, text)
    (job,) = [job for job in results.look().jobs if job.time]
    assert (job.stage, job.cells, job.networks) == ("train", (CELLS[1],), 3)
    assert (job.state, job.silent) == (state, silent)
    assert job.time == NOW - age


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        (None, "done"),
        (PassbandError("no such store"), "failed"),
        (ValueError("a\nb: c in 3.0 s"), "failed"),
        (MemoryError(), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (PassbandError("stopped in epoch 1 of 2 by SIGINT; its state is saved"), "interrupted"),
        (PassbandError("stopped in epoch 1 of 2 by SIGTERM; its state is saved"), "failed"),
    ],
)
def test_the_end_of_a_real_log_is_understood(tmp_path, raised, state):
    log = tmp_path / "train.log"
    begun = ""
    with suppress(BaseException), running.job("train gold df+0005.00", log, {}) as job:
        job.log("replica 0: val_loss 0.4 in 12.0 s")
        begun = log.read_text()
        if raised:
            raise raised
        job.result = "3 network(s) on 4 conditions, 2 of them computed, in x.zarr.zip"
    assert log_lines.ended(begun, "train") is None
    assert log_lines.ended(log.read_text(), "train") == state
    assert log_lines.ended(log.read_text() + begun, "train") is None  # the next attempt


def test_a_job_with_an_output_is_done(results):
    results.trained(CELLS[0], "r000-002", 1e6)
    results.trained(CELLS[0], "r003-004", 1e6)
    results.tested(CELLS[0], "r000-002", 1e5)
    results.put("waves/gold/train/00001.zarr.zip", 2e6)
    (results.folder / "table.zarr").mkdir()
    os.utime(results.folder / "table.zarr", (NOW, NOW))
    found = results.look()
    assert found.networks("train") == (5, 40)
    assert found.networks("evaluate") == (3, 40)
    assert [job.log[-9:] for job in found.stages["simulate"] if job.state == "done"] == [
        "00001.log"
    ]
    assert [job.state for job in found.stages["aggregate"]] == ["done"]
    assert found.cells[CELLS[0]] == "partly"
    assert found.cells[CELLS[1]] == "waiting"


def test_a_record_of_networks_that_were_trained_again_is_not_done(results):
    results.tested(CELLS[0], "r000-002", 1e5)
    results.trained(CELLS[0], "r000-002", 1e4)
    assert results.states("evaluate")[CELLS[0].condition, "r000-002"] == "waiting"


def test_a_record_that_is_being_updated_is_running(results):
    results.tested(CELLS[0], "r000-002", 1e5)
    results.log("evaluate", CELLS[0], "r000-002", 10, GOOD + STARTED)
    assert results.states("evaluate")[CELLS[0].condition, "r000-002"] == "running"


def test_an_incomplete_file_counts_as_absent(results):
    name = f"networks/{CELLS[0]}/.node1-7.r000-002.safetensors"
    results.put(name, 10)
    assert {job.state for job in results.look().jobs} == {"waiting"}


def test_a_cells_state_is_the_most_important_state_of_its_jobs(results):
    for batch in BATCHES:
        for cell in CELLS[:5]:
            results.trained(cell, batch, 1e5)
            results.tested(cell, batch, 1e4)
    results.log("evaluate", CELLS[1], "r003-004", 10, GOOD + STARTED)
    results.log("train", CELLS[5], "r000-002", 10, LIVES)
    results.trained(CELLS[6], "r000-002", 1e5)
    results.log("train", CELLS[6], "r003-004", 20, FAILS)
    results.log("evaluate", CELLS[6], "r000-002", 10, STARTED)
    cells = results.look().cells
    assert [cells[cell] for cell in CELLS] == [
        *("done", "running", "done", "done", "done", "running", "failed", "waiting")
    ]


def test_failures_of_any_stage_are_listed_newest_first(results):
    results.log("train", CELLS[0], "r000-002", 300, FAILS)
    results.put("logs/figures/ctf.log", 100, FAILS)
    results.put("logs/figures/matrix.log", 50, GOOD.replace("train a b", "figure matrix"))
    results.put("logs/aggregate.log", 200, FAILS)
    failures = results.look().failures
    assert [job.stage for job in failures] == ["figures", "aggregate", "train"]


# ── Rates ────────────────────────────────────────────────────────────────────────────────────────


def finish(results, ages):
    """Add a finished job of three networks at each age in seconds."""
    for cell, age in zip([c for c in CELLS for _ in (0, 1)], ages, strict=False):
        results.trained(cell, list(BATCHES)[cell in results.seen], age)
        results.seen.add(cell)


@pytest.fixture
def seen(results):
    results.seen = set()
    return results


def test_rate_is_of_the_last_hour_if_enough_jobs_are_in_it(seen):
    # Twelve jobs of 3 and 2 networks in turn in 50 minutes, and other jobs long ago.
    finish(seen, [*range(250, 3001, 250), 1e6, 1e6 + 1, 1e6 + 2])
    rate, hours = seen.look().rate("train")
    assert hours == 1
    assert rate == pytest.approx(30)


def test_rate_is_of_more_hours_if_jobs_are_few(seen):
    finish(seen, [*(3600 * h for h in (0.5, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5)), 1e6])
    rate, hours = seen.look().rate("train")
    assert hours == 6
    assert rate == pytest.approx(25 / 6)


def test_rate_of_work_that_just_began_leaves_out_its_first_job(seen):
    finish(seen, [100, 400, 700, 1000])
    seen.log("train", CELLS[7], "r000-002", 10, LIVES)
    rate, hours = seen.look().rate("train")
    assert hours == pytest.approx(1000 / 3600)
    # The oldest of four jobs has 2 networks, and only marks the start of the period.
    assert rate == pytest.approx((3 + 2 + 3) / hours)


def test_rate_of_a_study_in_which_nothing_runs_does_not_fall_with_time(seen):
    finish(seen, [100, 400, 700, 1000])
    rates = [seen.look(NOW + later) for later in (0, 3600, 1e6)]
    expected = pytest.approx((8 / (900 / 3600), 900 / 3600))  # until the last finished job
    assert [found.rate("train") for found in rates] == [expected] * 3
    assert " 32 trained an hour over 15 min, up to " in status_page.render(rates[1])


def test_end_is_that_of_the_stage_that_ends_last(seen):
    finish(seen, [3600 * age for age in (0, 0.25, 0.5, 0.75, 1)])
    running = CELLS[7]
    seen.log("train", running, "r000-002", 10, LIVES)
    found = seen.look()
    left = 40 - found.networks("train")[0]
    assert found.end == pytest.approx(NOW + 3600 * left / found.rate("train")[0])
    for age, cell in ((0, CELLS[0]), (1800, CELLS[2])):
        seen.tested(cell, "r000-002", age)
    found = seen.look()
    assert found.rate("evaluate")[0] == pytest.approx(3 / 0.5)
    assert found.end == pytest.approx(NOW + 3600 * (40 - 6) / 6)
    seen.log("train", running, "r000-002", 1e5, LIVES)
    assert seen.look().end is None  # no job runs


# ── As text ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mixed(results):
    """A study with jobs in different states.

    CELLS are defocus −5 (Cs 1.2: 10, 18; Cs 60: 10, 18 mrad), then the same at defocus 20.
    """
    for batch in BATCHES:
        results.trained(CELLS[0], batch, 1e4)
        results.tested(CELLS[0], batch, 1e4)
    results.trained(CELLS[1], "r000-002", 2e4)
    results.log("train", CELLS[4], "r000-002", 10, LIVES)
    results.log("train", CELLS[7], "r003-004", 120, FAILS)
    results.log("train", CELLS[6], "r003-004", 7300, LIVES)
    return results


def test_grid_is_drawn_by_aperture_and_dose_over_defocus_and_cs(mixed):
    page = status_page.render(mixed.look())
    block = page.partition("gold, compact-w8-d3\n")[2].partition("\n\n")[0].splitlines()
    assert block[1] == "  and, at each defocus, Cs of 1.2, 60 µm"
    assert block[2:] == [
        "           -5 20",
        "  10  100  █· >x",
        "  18  100  ▒· ·x",
    ]
    assert "█ done 1   ▒ partly 1   > running 1   x failed 2   · waiting 3" in page


def test_page_counts_jobs_and_networks(mixed):
    page = status_page.render(mixed.look())
    rows = {line.split()[0]: line.split()[1:] for line in page.splitlines() if line}
    assert rows["jobs"] == list(STATES)
    assert rows["train"] == ["3", "1", "2", "10"]
    assert rows["evaluate"] == ["2", "–", "–", "14"]
    assert "networks    8 of 40 trained (20%), 5 tested" in page


def test_page_ends_with_the_newest_failures_logs(mixed):
    page = status_page.render(mixed.look(), failures=1)
    assert page.partition("2 failed, the newest first:")[2].strip().splitlines() == [
        f"{mixed.folder}/logs/train/{CELLS[7]}/r003-004.log, 2 min ago",
        *(f"    {line}" for line in FAILS.splitlines()),
    ]
    both = status_page.render(mixed.look())
    assert "r003-004.log, 2 h 1 min ago\n" in both
    assert both.rstrip().endswith("(the log ends here: the job was killed, or its node went down)")


def test_a_failures_log_cannot_change_the_terminal(mixed):
    log = mixed.folder / f"logs/train/{CELLS[7]}/r003-004.log"
    times = log.stat()
    log.write_text(log.read_text().replace("error:", "error: \x1b[2J\a"))
    os.utime(log, ns=(times.st_atime_ns, times.st_mtime_ns))
    page = status_page.render(mixed.look(), failures=1)
    assert " [2J " in page
    assert "\x1b" not in page
    assert "\a" not in page


def test_a_wide_grid_is_broken_to_the_terminals_width(mixed):
    page = status_page.render(mixed.look(), width=14)
    block = page.partition("gold, compact-w8-d3\n")[2].partition("\n\n")[0].splitlines()
    assert block[2:] == [
        "           -5",
        "  10  100  █·",
        "  18  100  ▒·",
        "           20",
        "  10  100  >x",
        "  18  100  ·x",
    ]


def test_colours_change_no_character(mixed):
    plain, coloured = (status_page.render(mixed.look(), colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[31mx\x1b[0m" in coloured
    stripped = re.sub(r"\x1b\[[\d;]+m", "", coloured)
    # In colour, the rest of the bar is drawn too.
    done, rest = re.search("^(━+)([╺╸━]+) ", stripped, re.M), re.search("^━+( +) 16% ", plain, re.M)
    assert done
    assert rest
    assert re.sub("[━╺╸]", " ", stripped) == plain.replace("━", " ")


# ── The command ──────────────────────────────────────────────────────────────────────────────────


def study_file(folder: Path, name: str = "config.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(STUDY.model_dump_json())  # JSON is YAML
    return file


def test_a_study_is_named_by_its_file_or_by_its_results(mixed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = study_file(tmp_path, "studies/some.yaml")
    (tmp_path / "config.yaml").write_text("study: [")  # a different, invalid study
    for argument in (str(file), "results/small", f"{tmp_path}/results/small"):
        assert cli.main(["status", argument]) == 0
        out = capsys.readouterr().out
        assert "8 of 40 trained" in out
        assert "\x1b" not in out


def test_config_yaml_is_the_study_without_a_name(mixed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study_file(tmp_path)
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out.startswith("small  results/small  ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.yaml"], "study file 'none.yaml': No such file or directory; give a YAML file"),
        (["results/small"], "results/small: neither .*config.yaml nor a file in .*studies has"),
        (["pilot", "--watch", "0"], "--watch = 0: must be above 0 s"),
    ],
)
def test_status_refuses_in_one_line(mixed, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["status", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.match(says, err)


@pytest.fixture
def watching(tmp_path, monkeypatch):
    """Run `passband status --watch` on a study, and call a function whenever the command sleeps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: NOW)
    study_file(tmp_path)

    def start(*happens, options=()):
        slept = []

        def sleep(seconds):
            slept.append(seconds)
            happens[len(slept) - 1]()

        monkeypatch.setattr(time, "sleep", sleep)
        return cli.main(["status", "--watch", *options]), slept

    return start


def ctrl_c():
    raise KeyboardInterrupt  # the signal itself would be ignored in the background


def nothing():
    pass


def test_watch_draws_a_bar_until_ctrl_c_in_a_terminal(mixed, watching, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(commands.status.sys.stdout, "isatty", lambda: True)
    trained = partial(mixed.trained, CELLS[2], "r000-002", 10)
    assert watching(nothing, trained, ctrl_c) == (0, [10, 10, 10])
    out = capsys.readouterr().out
    assert "train 4 of 16 (2 failed)" in out
    assert "━" in out
    assert "6 of 45 jobs are done" in out
    assert "no longer watched" in out


def test_watch_prints_lines_and_new_failures_without_a_terminal(mixed, watching, capsys):
    fails = partial(mixed.log, "train", CELLS[3], "r000-002", 5, FAILS)
    assert watching(nothing, fails, nothing, ctrl_c, options=["5"]) == (0, [5, 5, 5, 5])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.startswith("small: 45 jobs, 5 are done; the results are in results/small\n")
    assert (
        out.count("failed after 1 min: train gold compact-w8-d3 ") == 3
    )  # each failure is shown once
    name, error, log = (out.splitlines()[k] for k in (-5, -3, -2))
    words = "failed after 1 min: train gold compact-w8-d3 r000-002, -5 nm, 60 µm, 18 mrad, "
    assert name.startswith(words)
    assert out.count("failed after 1 min: train gold compact-w8-d3 ") == 3  # each is shown once
    assert error == "    12:01:00 error: train a: no"
    assert log.endswith(f"logs/train/{CELLS[3]}/r000-002.log")


def test_watch_shows_a_failure_again_after_another_attempt(mixed, watching, capsys):
    fails = partial(mixed.log, "train", CELLS[7], "r003-004", 5, FAILS * 2)
    assert watching(nothing, fails, nothing, ctrl_c) == (0, [10, 10, 10, 10])
    out = capsys.readouterr().out
    assert out.count(f"its log: results/small/logs/train/{CELLS[7]}/r003-004.log") == 2
    assert out.count(f"its log: results/small/logs/train/{CELLS[6]}/r003-004.log") == 1


def test_watch_shows_three_failures_at_a_time_and_counts_the_others(mixed, watching, capsys):
    for cell in CELLS[2:7]:
        mixed.log("train", cell, "r000-002", 50, FAILS)
    assert watching() == (1, [])
    out = capsys.readouterr().out
    assert out.count("failed after 1 min: train") == 3
    assert "and 4 more failed before" in out


def test_watch_ends_with_the_study(mixed, watching, capsys):
    """The exit status is 0 if the study is complete, and 1 if no job runs and a job failed."""
    stopped = partial(mixed.log, "train", CELLS[4], "r000-002", 1e5, FAILS)
    assert watching(nothing, stopped) == (1, [10, 10])
    assert "no job runs; correct the failures, and run Snake" in capsys.readouterr().out
    finish_all(mixed)
    assert watching() == (0, [])
    assert "complete; open results/small/report.html" in capsys.readouterr().out
    mixed.put("logs/gallery/gold.log", 20, FAILS)
    assert watching() == (1, [])
    mixed.put("logs/gallery/gold.log", 20, STARTED)
    assert watching(nothing, ctrl_c) == (0, [10, 10])
    assert "no job runs" not in capsys.readouterr().out


def finish_all(results: Folder, age: float = 7200) -> None:
    """Add all files of the study with the same age, and the logs of figures."""
    for path in ("waves/gold/train/00000", "waves/gold/train/00001"):
        results.put(f"{path}.zarr.zip", age)
    for split in ("val", "test"):
        results.put(f"waves/gold/{split}/00000.zarr.zip", age)
    for cell in CELLS:
        for batch in BATCHES:
            results.trained(cell, batch, age)
            results.tested(cell, batch, age)
    for stage, name in (("information",) * 2, ("aggregate", "table"), ("ood",) * 2):
        folder = results.folder / f"{name}.zarr"
        folder.mkdir()
        os.utime(folder, (NOW - age, NOW - age))
        results.put(f"logs/{stage}.log", age, GOOD.replace("train a b", stage))
    for name in STUDY.drawn:
        for format in STUDY.figures.formats:
            results.put(f"figures/{name}.{format}", age)
        results.put(f"logs/figures/{name}.log", age, GOOD.replace("train a b", f"figure {name}"))
    results.put("report.html", age)
    results.put("logs/report.log", age, GOOD.replace("train a b", "report"))
    results.put("explorer.html", age)
    results.put("logs/explorer.log", age, GOOD.replace("train a b", "explorer"))


# ── Whole studies ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("logs", [-7200, 0, 100, 7100])
def test_a_finished_study_is_complete_whatever_the_age_of_its_logs(results, logs):
    """In a copied study, logs may be older or much newer than the outputs of their jobs."""
    finish_all(results)
    for log in (results.folder / "logs").rglob("*.log"):
        os.utime(log, (NOW - 7200 + logs,) * 2)
    found = results.look()
    assert found.complete
    assert found.over
    assert found.failures == []
    assert {job.state for job in found.jobs} == {"done"}


def test_an_output_that_is_older_than_its_inputs_is_not_done(results):
    finish_all(results)
    results.tested(CELLS[0], "r000-002", 100)  # with one more condition
    found = results.look()
    assert not found.complete
    waiting = [job.stage for job in found.jobs if job.state == "waiting"]
    following = ["ood", *["figures"] * (len(waiting) - 4), "report", "explorer"]
    assert waiting == ["aggregate", *following]
    assert found.left == len(waiting)
    os.utime(results.folder / "table.zarr", (NOW, NOW))
    assert [job.stage for job in results.look().jobs if job.state == "waiting"] == following


def test_what_nothing_needs_any_more_may_be_deleted(results):
    """Snakemake has nothing to do then, and a study that it has nothing to do for is complete."""
    finish_all(results)
    cell = str(CELLS[0])
    results.log("evaluate", CELLS[0], "r000-002", 7200, GOOD.replace("train a b", "evaluate"))
    for file in (f"networks/{cell}/r000-002.safetensors", f"records/{cell}/r000-002.zarr.zip"):
        (results.folder / file).unlink()
    found = results.look()
    assert found.complete
    assert {job.stage for job in found.jobs if job.state == "waiting"} == {"train", "evaluate"}
    assert "the study is complete" in status_page.render(found)
    (results.folder / "report.html").unlink()  # the workflow asks for it
    assert not results.look().complete
    results.put("report.html", 7200)
    (results.folder / f"logs/train/{cell}/r000-002.log").unlink()  # it was never trained
    assert not results.look().complete


ASKED_FOR = {
    "gallery": ("gallery/gold", "gallery gold", ".png"),
    "images": (f"images/gold/test/{CELLS[0].condition}_draw3", "images gold test", ".zarr"),
    "figures": ("figures/structure", "figure structure", ".png"),
}


@pytest.mark.parametrize("stage", ASKED_FOR)
def test_outputs_on_request_are_listed_and_not_needed(results, stage):
    finish_all(results)
    before = len(results.look().jobs)
    path, name, ending = ASKED_FOR[stage]
    log = f"logs/{path}.log"

    def state():
        found = results.look()
        assert found.complete
        assert found.stages[stage][-1].log == str(results.folder / log)
        return found.stages[stage][-1].state, found.over

    results.put(log, 100, STARTED)
    assert state() == ("running", False)
    results.put(log, 1000, STARTED)
    assert state() == ("failed", True)
    results.put(log, 10, FAILS)
    assert state() == ("failed", True)
    results.put(log, 10, GOOD.replace("train a b", name))
    assert len(results.look().jobs) == before  # made, and then deleted
    for end in (ending, ".svg") if ending == ".png" else (ending,):
        results.put(path + end, 7000)
    assert state() == ("done", True)
    for file in (results.folder / path).parent.glob(f"{Path(path).name}*"):
        os.utime(file, (NOW - 8000,) * 2)  # before the networks were trained
    expected = {"figures": "waiting"}.get(stage, "done")
    assert state() == (expected, True)


def test_prediction_is_known(tmp_path):
    content = STUDY.model_dump()
    content["grid"]["dose_e_per_A2"] = [100, 200, 400]  # 24 conditions
    study = validate(content)
    results = Folder(tmp_path / "results" / "small")
    found = {stage: len(jobs) for stage, jobs in scan(study, results.folder).stages.items()}
    assert (found["prediction"], found["figures"]) == (1, 6)
    results.put("logs/prediction.log", 10, STARTED)
    seen = scan(study, results.folder)
    assert "running: 1 prediction" in status_page.render(seen)
    assert "Snakemake" not in status_page.render(seen)


def test_another_rules_log_counts_where_it_runs_or_failed(results):
    results.put("logs/mine/a.log", 10, GOOD.replace("train a b", "my_rule"))
    results.put("logs/theirs.log", 100, FAILS)
    results.put("logs/preflight.log", 100, FAILS)  # the preflight prints its own results
    found = results.look()
    assert {job.stage for job in found.jobs if job.state != "waiting"} == {"theirs"}


def test_holes_that_are_allowed_are_not_needed(results):
    finish_all(results)
    cell = str(CELLS[0])
    (results.folder / f"records/{cell}/r000-002.zarr.zip").unlink()
    (results.folder / f"logs/evaluate/{cell}/r000-002.log").unlink()
    assert not results.look().complete
    study = validate(
        {**STUDY.model_dump(), "study": STUDY.study.model_dump() | {"allow_incomplete": True}}
    )
    found = scan(study, results.folder)
    assert found.complete
    assert found.cells[CELLS[0]] == "partly"


# ── Snakemake itself ─────────────────────────────────────────────────────────────────────────────


def lock(results: Folder, study: str = "small") -> Path:
    path = results.folder.parents[1] / ".snakemake/locks/0.output.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"results/{study}/table.zarr\nresults/{study}/ood.zarr\n")
    return path


@contextmanager
def a_snakemake(root: Path, *arguments: str):
    """A process that looks like a Snakemake which was started in a folder."""
    command = ["snakemake", "-c", "import time; print('x', flush=True); time.sleep(60)", *arguments]
    process = subprocess.Popen(command, executable=sys.executable, cwd=root, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


def test_between_jobs_it_says_that_snakemake_runs(mixed):
    mixed.log("train", CELLS[4], "r000-002", 10, FAILS)  # a job that Snakemake tries again
    assert mixed.look().over
    path = lock(mixed)
    os.utime(path, (NOW - 60,) * 2)
    with a_snakemake(mixed.folder.parents[1]):
        found = mixed.look()
        assert (found.snakemake, found.since) == ("running", NOW - 60)
        assert not found.over
        assert "Snakemake runs since" in status_page.render(found)
    with a_snakemake(mixed.folder.parents[1], "--mode", "subprocess"):  # of a killed Snakemake
        assert mixed.look().snakemake == "locked"
    with a_snakemake(mixed.folder):  # of another study
        found = mixed.look()
    assert found.snakemake == "locked"
    assert "run its command once with --unlock" in status_page.render(found)
    lock(mixed, "smaller")
    assert mixed.look().snakemake == ""
    path.unlink()
    assert "no job runs; correct the failures" in status_page.render(mixed.look())


# ── What may not be read ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", ["", "networks", "logs/train"])
def test_results_that_may_not_be_read_are_one_line(mixed, tmp_path, monkeypatch, capsys, which):
    monkeypatch.chdir(tmp_path)
    study_file(tmp_path)
    scandir, forbidden = os.scandir, os.path.join("results/small", which).rstrip("/")

    def refuse(folder):
        if folder == forbidden:
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert cli.main(["status"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"{forbidden}: cannot be read: Permission denied; .*\n", err)


# ── As JSON ──────────────────────────────────────────────────────────────────────────────────────


def test_json_has_what_docs_say(mixed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study_file(tmp_path)
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert cli.main(["status", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    described = re.findall(
        r"^\| `(\w+)` \|", page.partition("status --json` has")[2].partition("\n## ")[0], re.M
    )
    assert list(found) == described
    assert (found["study"], found["results"], found["time"]) == ("small", "results/small", NOW)
    assert (found["complete"], found["over"], found["snakemake"]) == (False, False, "not running")
    assert found["jobs"]["train"] == {"done": 3, "running": 1, "failed": 2, "waiting": 10}
    assert found["networks"] == {"total": 40, "trained": 8, "tested": 5}
    assert [cell["state"] for cell in found["cells"]].count("partly") == 1
    assert [failure["silent"] for failure in found["failures"]] == [False, True]


@pytest.mark.parametrize("options", [["config.yaml"], ["5", "config.yaml"], ["--json"]])
def test_the_study_may_be_given_after_watch(mixed, watching, options):
    finish_all(mixed)
    assert watching(options=options) == (0, [])


def test_json_watches_too(mixed, watching, capsys):
    finish_all(mixed)
    assert watching(options=["--json"]) == (0, [])
    assert json.loads(capsys.readouterr().out)["complete"]


@pytest.mark.parametrize(
    ("age", "state", "silent"),
    [
        (10, "running", False),
        (run_files.PATIENCE_S - 1, "running", False),
        (run_files.PATIENCE_S + 1, "failed", True),
    ],
)
def test_a_job_lives_as_long_as_its_lease(results, age, state, silent):
    results.log("train", CELLS[1], "r000-002", 1e6, LIVES)
    held = results.folder / f"logs/train/{CELLS[1]}/r000-002.lease"
    held.mkdir()
    os.utime(held, (NOW - age, NOW - age))
    (job,) = [job for job in results.look().jobs if job.time]
    assert (job.state, job.silent, job.time) == (state, silent, NOW - age)


def test_a_running_job_lives_however_long_it_has_nothing_to_log(results, monkeypatch):
    monkeypatch.setattr(lease, "PULSE_S", 0.01)
    log = results.folder / "logs/ood.log"
    with running.job("ood", log, {}):
        for path in (log, log.with_suffix(".lease")):
            os.utime(path, (0, 0))
        deadline = time.monotonic() + 300
        while Run(Results(STUDY, results.folder)).read().stages["ood"][0].state != "running":
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.005)


def test_a_time_of_another_day_has_its_date():
    now = time.mktime((2026, 11, 27, 18, 30, 0, 0, 0, -1))
    assert clock(now - 3600, now) == "17:30"
    assert clock(now - 24 * 3600, now) == "Thu 26 Nov, 18:30"


def test_a_folder_of_0_2_is_told_from_one_that_goes_on(tmp_path):
    study = load(Path(__file__).parents[1] / "data/smallest.yaml")
    write_bare(tmp_path / layout.OOD, format=integrity.OF_02)
    run = Run(Results(study, tmp_path)).read()
    assert status_page.at_work(run) == "made by Passband 0.2: run it again, or use 0.2"
