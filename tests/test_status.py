"""Where a study stands, from synthetic results; test_workflow looks at real ones."""

import os
import re
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from passband import PassbandError, cli, jobs, lease, status
from passband.config import validate
from passband.grid import batches

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
CELLS = [("gold", "compact-w8-d3", condition.id) for condition in STUDY.train_conditions]
BATCHES = batches(5, 3)  # of three and of two networks
STARTED = "12:00:00 started on node1, process 7\n"
LIVES, FAILS = (
    STARTED + "12:01:00 replica 0: val_loss 0.5, Dice 0.9\n",
    STARTED + "12:01:00 error: train a: no\n",
)
GOOD = STARTED + "12:01:00 train a b: 3 network(s) in x.safetensors in 60.0 s\n"


class Results:
    """A folder of results to put files into, with their ages in seconds."""

    def __init__(self, folder: Path):
        self.folder = folder

    def put(self, name: str, age: float, text: str = "") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (NOW - age, NOW - age))

    def log(self, stage: str, cell: tuple, batch: str, age: float, text: str) -> None:
        self.put(f"logs/{stage}/{'/'.join(cell)}/{batch}.log", age, text)

    def trained(self, cell: tuple, batch: str, age: float) -> None:
        self.put(f"networks/{'/'.join(cell)}/{batch}.safetensors", age)
        self.put(f"networks/{'/'.join(cell)}/{batch}.csv", age)
        self.log("train", cell, batch, age, GOOD)

    def tested(self, cell: tuple, batch: str, age: float) -> None:
        self.put(f"records/{'/'.join(cell)}/{batch}.zarr.zip", age)
        self.log("evaluate", cell, batch, age, GOOD.replace("train", "evaluate"))

    def look(self) -> status.Status:
        return status.look(STUDY, self.folder, NOW)

    def states(self, stage: str) -> dict[tuple[str, str], str]:
        """State by condition id and batch."""
        found = {}
        for job in self.look().stages[stage]:
            found[job.cell[2], Path(job.log).stem] = job.state
        return found


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results" / "small")


def test_every_job_of_a_study_that_has_not_begun_waits(results):
    found = results.look()
    assert {stage: len(jobs) for stage, jobs in found.stages.items()} == {
        "simulate": 2 + 1 + 1,
        "train": 8 * 2,
        "evaluate": 8 * 2,
        "information": 1,
        "aggregate": 1,
        "ood": 1,
    }
    assert {job.state for job in found.jobs} == {"waiting"}
    assert found.networks("train") == (0, 40)
    assert found.rate("train") is None
    assert found.end is None
    assert not found.complete


@pytest.mark.parametrize(
    ("age", "text", "state", "silent"),
    [
        (10, STARTED, "running", False),
        (status.PATIENCE_S - 1, LIVES, "running", False),
        (status.PATIENCE_S + 1, LIVES, "failed", True),
        (10, "", "running", False),  # the file is there before its first line
        (10, LIVES + "12:02:00 tr", "running", False),  # torn in the middle of a line
        (10, FAILS, "failed", False),
        (1e6, FAILS, "failed", False),
        (10, FAILS + STARTED, "running", False),  # the next attempt
        (1e6, FAILS + STARTED, "failed", True),
        (10, GOOD, "waiting", False),  # what it made was deleted
        (10, GOOD + STARTED, "running", False),
    ],
)
def test_a_log_without_an_output_says_how_its_job_does(results, age, text, state, silent):
    results.log("train", CELLS[1], "r000-002", age, text)
    (job,) = [job for job in results.look().jobs if job.time]
    assert (job.stage, job.cell, job.networks) == ("train", CELLS[1], 3)
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
        (PassbandError("stopped in epoch 1 of 2 for SIGINT; its state is saved"), "interrupted"),
        (PassbandError("stopped in epoch 1 of 2 for SIGTERM; its state is saved"), "failed"),
    ],
)
def test_the_end_of_a_real_log_is_understood(tmp_path, raised, state):
    log = tmp_path / "train.log"
    begun = ""
    with suppress(BaseException), jobs.job("train gold df+0005.00", log, 1, {}) as job:
        job.log("replica 0: val_loss 0.4 in 12.0 s")
        begun = log.read_text()
        if raised:
            raise raised
        job.made = "3 network(s) on 4 conditions, 2 of them computed, in x.zarr.zip"
    assert jobs.ended(begun, "train") is None
    assert jobs.ended(log.read_text(), "train") == state
    assert jobs.ended(log.read_text() + begun, "train") is None  # the next attempt


def test_done_is_what_has_an_output(results):
    results.trained(CELLS[0], "r000-002", 1e6)
    results.trained(CELLS[0], "r003-004", 1e6)
    results.tested(CELLS[0], "r000-002", 1e5)
    results.put("waves/gold/train/00001.zarr.zip", 2e6)
    results.put("table.zarr/zarr.json", 5)
    found = results.look()
    assert found.networks("train") == (5, 40)
    assert found.networks("evaluate") == (3, 40)
    assert [job.log[-9:] for job in found.stages["simulate"] if job.state == "done"] == [
        "00001.log"
    ]
    assert [job.state for job in found.stages["aggregate"]] == ["done"]
    assert found.cells[CELLS[0]] == "partly"
    assert found.cells[CELLS[1]] == "waiting"


def test_a_record_of_networks_that_were_trained_anew_is_not_done(results):
    results.tested(CELLS[0], "r000-002", 1e5)
    results.trained(CELLS[0], "r000-002", 1e4)
    assert results.states("evaluate")[CELLS[0][2], "r000-002"] == "waiting"


def test_a_record_that_is_brought_up_to_date_is_being_made(results):
    results.tested(CELLS[0], "r000-002", 1e5)
    results.log("evaluate", CELLS[0], "r000-002", 10, GOOD + STARTED)
    assert results.states("evaluate")[CELLS[0][2], "r000-002"] == "running"


def test_what_is_half_written_is_not_there(results):
    name = f"networks/{'/'.join(CELLS[0])}/.node1-7.r000-002.safetensors"
    results.put(name, 10)
    assert {job.state for job in results.look().jobs} == {"waiting"}


def test_a_cell_is_what_matters_most_of_its_jobs(results):
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
    results.put("logs/figures/matrix.log", 50, GOOD.replace("train", "figure_matrix"))
    results.put("logs/aggregate.log", 200, FAILS)
    failures = results.look().failures
    assert [job.stage for job in failures] == ["figures", "aggregate", "train"]


# ── Rates ────────────────────────────────────────────────────────────────────────────────────────


def finish(results, ages):
    """Let a job of three networks finish at each age in seconds."""
    for cell, age in zip([c for c in CELLS for _ in (0, 1)], ages, strict=False):
        results.trained(cell, list(BATCHES)[cell in results.seen], age)
        results.seen.add(cell)


@pytest.fixture
def seen(results):
    results.seen = set()
    return results


def test_rate_is_of_the_last_hour_if_enough_jobs_are_in_it(seen):
    # Twelve jobs, of 3 and 2 networks in turn, in 50 minutes, and others long ago.
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
    rate, hours = seen.look().rate("train")
    assert hours == pytest.approx(1000 / 3600)
    # The oldest of four jobs, of 2 networks, only marks when counting began.
    assert rate == pytest.approx((3 + 2 + 3) / hours)


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
    assert seen.look().end is None  # nothing runs


# ── As text ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mixed(results):
    """CELLS are defocus −5 (Cs 1.2: 10, 18; Cs 60: 10, 18 mrad), then the same at 20."""
    for batch in BATCHES:
        results.trained(CELLS[0], batch, 1e4)
        results.tested(CELLS[0], batch, 1e4)
    results.trained(CELLS[1], "r000-002", 2e4)
    results.log("train", CELLS[4], "r000-002", 10, LIVES)
    results.log("train", CELLS[7], "r003-004", 120, FAILS)
    results.log("train", CELLS[6], "r003-004", 7300, LIVES)
    return results


def test_grid_is_drawn_by_aperture_and_dose_over_defocus_and_cs(mixed):
    page = status.text(mixed.look())
    block = page.partition("gold, compact-w8-d3\n")[2].partition("\n\n")[0].splitlines()
    assert block[1] == "  and, at each defocus, Cs of 1.2, 60 µm"
    assert block[2:] == [
        "           -5 20",
        "  10  100  █· >x",
        "  18  100  ▒· ·x",
    ]
    assert "█ done 1   ▒ partly 1   > running 1   x failed 2   · waiting 3" in page


def test_page_counts_jobs_and_networks(mixed):
    page = status.text(mixed.look())
    rows = {line.split()[0]: line.split()[1:] for line in page.splitlines() if line}
    assert rows["jobs"] == list(status.STATES)
    assert rows["train"] == ["3", "1", "2", "10"]
    assert rows["evaluate"] == ["2", "–", "–", "14"]
    assert "networks    8 of 40 trained (20%), 5 tested" in page


def test_page_ends_with_the_newest_failures_logs(mixed):
    page = status.text(mixed.look(), failures=1)
    assert page.partition("2 failed, the newest first:")[2].strip().splitlines() == [
        f"{mixed.folder}/logs/train/{'/'.join(CELLS[7])}/r003-004.log, 2 min ago",
        *(f"    {line}" for line in FAILS.splitlines()),
    ]
    both = status.text(mixed.look())
    assert "r003-004.log, 2 h ago\n" in both
    assert both.rstrip().endswith("(no sign of life since: it was killed, or its node went down)")


def test_a_wide_grid_is_broken_to_the_terminals_width(mixed):
    page = status.text(mixed.look(), width=14)
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
    plain, coloured = (status.text(mixed.look(), colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[31mx\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


# ── The command ──────────────────────────────────────────────────────────────────────────────────


def study_file(folder: Path, name: str = "config.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(STUDY.model_dump_json())  # JSON is YAML
    return file


def test_a_study_is_named_by_its_file_or_by_its_results(mixed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = study_file(tmp_path, "studies/some.yaml")
    (tmp_path / "config.yaml").write_text("study: [")  # another, and broken
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
        (["results/small"], "results/small: neither .*config.yaml nor a file in .*studies is"),
        (["--watch", "0"], "--watch = 0: must be above 0 s"),
    ],
)
def test_status_refuses_in_one_line(mixed, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["status", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.match(says, err)


def test_watch_draws_again_until_ctrl_c_and_only_on_a_terminal(
    mixed, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    study_file(tmp_path)
    assert cli.main(["status", "--watch", "0.01"]) == 0
    assert capsys.readouterr().out.count("trained (20%)") == 1
    drawn = []

    def sleep(seconds):
        drawn.append(seconds)
        if len(drawn) == 2:
            mixed.trained(CELLS[2], "r000-002", 10)
        if len(drawn) == 3:
            raise KeyboardInterrupt  # the signal itself would be ignored in the background

    monkeypatch.setattr(cli.sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(cli.time, "sleep", sleep)
    assert cli.main(["status", "--watch"]) == 0
    out = capsys.readouterr().out
    assert drawn == [10, 10, 10]
    assert out.count("\x1b[H\x1b[2J") == 3
    assert (out.count("8 of 40"), out.count("11 of 40")) == (2, 1)


@pytest.mark.parametrize(
    ("age", "state", "silent"),
    [
        (10, "running", False),
        (status.PATIENCE_S - 1, "running", False),
        (status.PATIENCE_S + 1, "failed", True),
    ],
)
def test_a_job_lives_as_long_as_its_lease(results, age, state, silent):
    results.log("train", CELLS[1], "r000-002", 1e6, LIVES)
    held = results.folder / f"logs/train/{'/'.join(CELLS[1])}/r000-002.lease"
    held.mkdir()
    os.utime(held, (NOW - age, NOW - age))
    (job,) = [job for job in results.look().jobs if job.time]
    assert (job.state, job.silent, job.time) == (state, silent, NOW - age)


def test_a_running_job_lives_however_long_it_has_nothing_to_log(results, monkeypatch):
    monkeypatch.setattr(lease, "held", partial(lease.held, pulse=0.01))
    log = results.folder / "logs/ood.log"
    with jobs.job("ood", log, 1, {}):
        for path in (log, log.with_suffix(".lease")):
            os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while status.look(STUDY, results.folder).stages["ood"][0].state != "running":
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.005)
