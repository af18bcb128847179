"""``passband run`` as a user starts it: in a terminal, in a pipe, with a failure, with Ctrl-C.

Each job is a new process here, and in `tests/install` each job of a whole study.
"""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runs import wait
from workplace import Workplace

from passband.config import load
from passband.learning import deadline
from passband.results import Results
from passband.runs import interrupt, locks
from passband.runs.job_states import Run

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

STUDY = "studies/smallest.yaml"


def command(*words):
    return [sys.executable, "-m", "passband.cli", *words]


def drawn(place, *words, width=100):
    """Run a command in a terminal, and return its exit status and its output."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        command(*words),
        cwd=place.folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": f"{width}"},
        start_new_session=True,
    )
    os.close(terminal)
    said = b""
    try:
        while chunk := os.read(main, 65536):
            said += chunk
    except OSError:  # the terminal of a process that has ended
        pass
    os.close(main)
    return process.wait(), said.decode()


def test_a_terminal_has_a_bar_and_a_run_ends_with_the_table_and_the_report(copied):
    results = copied.folder / "results/smallest"
    for figure in (results / "figures").glob("decay.*"):
        figure.unlink()
    status, said = drawn(copied, "run", STUDY, "--cores", "2", width=160)
    assert status == 0, said
    assert "smallest: 2 jobs to run" in said
    assert "Using" not in said  # Snakemake announces no profile
    assert "━" in said
    assert "figures 1 of 1" in said
    assert "2 jobs are done after" in said
    assert "Select jobs" not in said  # Snakemake's messages are in its log
    log = re.search(r"Snakemake's messages are in (\S+)", said)[1]
    assert "Select jobs" in (copied.folder / log).read_text()
    *_, end = said.replace("\r", "").split("\n\n")
    assert re.search(r"^ +gold, compact-w4-d2 +all doses +4 ", said, re.M)
    assert "|" not in said.partition("browser")[0].partition("networks")[2]
    assert len(end.splitlines()) <= 5
    page = re.search(r"^Open (\S+) in a browser\.$", end, re.M)[1]
    assert (copied.folder / page).stat().st_size > 100_000
    explorer = re.search(r"^A page for each cell of the matrix is (\S+)\.$", end, re.M)[1]
    assert (copied.folder / explorer).stat().st_size > 100_000
    typed = re.findall(r"^  (passband .+)$", end, re.M)
    assert [words.split()[1] for words in typed] == ["table"]
    before = (copied.folder / page).stat().st_mtime_ns
    again = subprocess.run(
        command("run", STUDY), cwd=copied.folder, capture_output=True, text=True, timeout=500
    )
    assert again.returncode == 0, again.stderr
    assert "Nothing to be done" in again.stderr
    assert "\x1b" not in again.stdout + again.stderr
    assert (copied.folder / page).stat().st_mtime_ns == before  # no figure has changed


def test_a_failure_in_a_pipe_names_its_reason_and_its_log(copied):
    results = copied.folder / "results/smallest"
    for figure in (results / "figures").glob("decay.*"):
        figure.unlink()
    metadata = results / "ood.zarr/zarr.json"
    times = metadata.stat()
    written = json.loads(metadata.read_text())  # a newer version's, which Passband leaves alone
    written["attributes"]["format"] += 1
    metadata.write_text(json.dumps(written))
    os.utime(metadata, ns=(times.st_atime_ns, times.st_mtime_ns))
    run = subprocess.run(
        command("run", STUDY, "--cores", "2"),
        cwd=copied.folder,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert "failed after" in run.stderr
    assert "ood.zarr" in run.stderr
    log = re.search(r"^  its log: (\S+)$", run.stderr, re.M)[1]
    assert (copied.folder / log).read_text().splitlines()[-1] in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.splitlines()[-1].startswith("Correct the cause, and run the study again")
    assert len(run.stderr.splitlines()) < 15


@pytest.fixture
def interruptible():
    """Let child processes heed SIGINT, also if this process was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


#: What a user types in Python, in a process that counts what it changes itself.
IN_PYTHON = """
import os, signal, sys, passband
before = [signal.getsignal(number) for number in signal.valid_signals()]
told = []
study = passband.open(sys.argv[1])
try:
    study.run(cores=2, snakemake=[sys.argv[2]], progress=lambda *now: told.append(now))
except KeyboardInterrupt:
    print("interrupted")
assert before == [signal.getsignal(number) for number in signal.valid_signals()]
assert told[0][2] == "no job runs", told
assert told[-1][2] == "running: 1 train", told
"""


@pytest.mark.parametrize("in_python", [False, True])
def test_ctrl_c_stops_all_jobs_and_says_that_the_same_command_goes_on(
    finished, tmp_path, interruptible, monkeypatch, in_python
):
    place = Workplace(tmp_path / "stopped")
    waves = finished.folder / "results/smallest/waves"
    shutil.copytree(waves, place.folder / "results/stopped/waves")
    study = place.study(
        study={"name": "stopped", "replicas": 1, "replicas_per_job": 1},
        grid={"defocus_nm": [5], "dose_e_per_A2": [200]},
        training={"epochs": 20},
    )
    id = "df+0005.00_cs+0001.200_ap016.00_ds000200.00"
    target = f"results/stopped/networks/gold/compact-w4-d2/{id}/r000-000.safetensors"
    log = place.folder / f"results/stopped/logs/train/gold/compact-w4-d2/{id}/r000-000.log"
    saved = place.folder / f"results/stopped/checkpoints/gold_compact-w4-d2_{id}_r000-000"
    monkeypatch.setenv(deadline.SAVE_EVERY, "0.001")
    words = command("run", study, "--cores", "2", "--", target)
    process = subprocess.Popen(
        [sys.executable, "-c", IN_PYTHON, study, target] if in_python else words,
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait(process, (saved / "000.safetensors").exists)
    worker = int(re.search(r"started on \S+, process (\d+)", log.read_text())[1])
    os.kill(worker, signal.SIGSTOP)  # so that it does not end before it is stopped
    results = Results(load(place.folder / study), place.folder / "results/stopped")
    found = Run(results).read()
    assert (found.snakemake, found.over) == ("running", False)
    assert [job.rule for job in found.running.values()] == ["train"]
    process.send_signal(signal.SIGINT)
    os.kill(worker, signal.SIGCONT)
    said, _ = process.communicate(timeout=500)
    if in_python:
        assert process.returncode == 0, said
        assert said == "interrupted\n"
    else:
        assert process.returncode == 130
        assert "Stopping. Run the same command again to continue." in said
        assert said.splitlines()[-1] == interrupt.LINE
    assert "failed" not in said
    assert "Traceback" not in said
    assert "by SIGINT" in log.read_text()
    assert not Path(f"/proc/{worker}").exists()
    assert not list((place.folder / "results").rglob("*.lease"))
    assert not locks.are_left(place.folder)
    found = Run(results).read()
    assert (found.snakemake, found.running, found.failures) == ("", {}, [])
    if not in_python:
        assert "continues after" in place.run(target, study=study)
        assert (place.folder / target).is_file()
