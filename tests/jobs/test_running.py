"""What all jobs have in common: log, lease, limits, errors."""

import json
import logging
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr

from passband import PassbandError, log_lines
from passband.config import validate
from passband.jobs import reuse, running
from passband.storage import DamagedError, StoreError, atomic, datasets, integrity, lease
from passband.store import files

CONFIG = {"study": {"name": "pilot"}}


@pytest.fixture(autouse=True)
def _threads():
    """Restore the number of threads, since a job limits the threads of the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "logs" / "train" / "one.log"


def test_job_ends_with_a_line_about_its_result(log, capsys):
    with running.job("train a b", log, CONFIG) as job:
        job.log("replica 0: fine")
        job.result = "2 networks in there"
    started, *lines = log.read_text().splitlines()
    assert re.fullmatch(rf"\d\d:\d\d:\d\d started on .+, process {os.getpid()}", started)
    assert len(lines) == 2
    assert lines[0].endswith(" replica 0: fine")
    assert re.fullmatch(r"\d\d:\d\d:\d\d train a b: 2 networks in there in \d+\.\d s", lines[1])
    captured = capsys.readouterr()
    assert captured.err.splitlines() == lines
    assert captured.out == ""


def test_log_is_new_or_continued_and_loses_no_line(log):
    for made in ("first", "second"):
        with running.job("train", log, CONFIG) as job:
            job.result = made
    assert log.read_text().splitlines()[-1].count("train: second in") == 1


def test_jobs_in_one_process_do_not_share_their_logs(tmp_path, capsys):
    before = (
        len(logging.getLogger("passband").handlers),
        len(logging.getLogger("py.warnings").handlers),
    )
    for name in ("one", "two", "three"):
        with running.job(name, tmp_path / f"{name}.log", CONFIG) as job:
            job.result = f"thing {name}"
    for name in ("one", "two", "three"):
        _, line = (tmp_path / f"{name}.log").read_text().splitlines()
        assert f" {name}: thing {name} in " in line
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert before == (
        len(logging.getLogger("passband").handlers),
        len(logging.getLogger("py.warnings").handlers),
    )


def test_error_that_the_user_can_correct_is_one_line_and_exit_code_1(log, capsys):
    with pytest.raises(SystemExit) as caught, running.job("train", log, CONFIG):
        raise PassbandError("a.zarr: not a whole store")
    assert caught.value.code == 1
    for text in (log.read_text().partition("\n")[2], capsys.readouterr().err):
        (line,) = text.splitlines()
        assert line.endswith(" error: train: a.zarr: not a whole store")
    assert logging.getLogger("passband").handlers == []


def test_invalid_configuration_is_one_line_too(log, capsys):
    with (
        pytest.raises(SystemExit) as caught,
        running.job("train", log, {"study": {"seed": -1}}),
    ):
        pytest.fail("the job began")
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "study.seed = -1" in line


def test_ctrl_c_is_one_line_and_exit_code_1(log, capsys):
    with pytest.raises(SystemExit) as caught, running.job("simulate gold", log, CONFIG):
        raise KeyboardInterrupt
    assert caught.value.code == 1
    for text in (log.read_text().partition("\n")[2], capsys.readouterr().err):
        (line,) = text.splitlines()
        assert " error: simulate gold: stopped by SIGINT; " in line


def test_other_errors_are_logged_and_raised(log):
    error = ValueError("broken")
    with pytest.raises(ValueError, match="broken") as caught, running.job("train", log, CONFIG):
        raise error
    assert caught.value is error
    text = log.read_text()
    assert re.search(r"train: failed after \d+\.\d s\n", text)
    assert "Traceback" in text
    assert "ValueError: broken" in text
    assert " in 0" not in text  # no last line of a successful job
    assert logging.getLogger("passband").handlers == []


def test_warnings_go_only_to_the_log_file(log, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with running.job("train", log, CONFIG):
            warnings.warn("mind the gap", UserWarning, stacklevel=1)
        shown = warnings.showwarning
    assert "mind the gap" in log.read_text()
    assert "mind the gap" not in capsys.readouterr().err
    assert shown.__module__ != "logging"


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_drawn_on_a_terminal_only(log, capsys, monkeypatch, terminal):
    with monkeypatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: terminal)
        with running.job("train", log, CONFIG) as job:
            assert job.terminal is terminal
            assert list(job.progress([1, 2, 3])) == [1, 2, 3]
    assert ("3/3" in capsys.readouterr().err) is terminal
    assert "3/3" not in log.read_text()


def test_provenance_names_study_and_command(log):
    with running.job("train", log, CONFIG) as job:
        provenance = job.provenance("results/pilot/a.zarr")
    assert (
        provenance.items()
        >= {
            "study": "pilot",
            "config_digest": job.study.digest,
            "command": "snakemake --cores all results/pilot/a.zarr",
        }.items()
    )
    assert provenance.keys() >= {"passband_version", "git_revision", "created"}
    with running.job("train", log, CONFIG | {"training": {"epochs": 99}}) as other:
        assert other.provenance("b")["config_digest"] != provenance["config_digest"]


def test_the_stored_configuration_makes_the_study_again(log):
    """A key that is not written is stored unless the axis leaves out its value."""
    for energies in ([200], [200, 300]):
        with running.job("train", log, CONFIG | {"grid": {"energy_kev": energies}}) as job:
            stored = json.loads(job.provenance("a")["configuration"])
        assert validate(stored) == job.study
        assert stored["microscope"].get("energy_kev") == (300 if 300 in energies else None)
        assert stored["microscope"]["focal_spread_nm"] == 3


def test_job_uses_at_most_its_cores(log):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpoolctl.threadpool_limits(2):
        torch.set_num_threads(2)
        with running.job("train", log, CONFIG):
            assert torch.get_num_threads() == 1
            pools = threadpoolctl.threadpool_info()
            assert {pool["num_threads"] for pool in pools} == {1}


@pytest.mark.slow
def test_job_runs_without_torch(tmp_path):
    """A job that needs no torch must not wait for its import."""
    code = f"""
import sys
from passband.jobs import running
with running.job("information", {str(tmp_path / "log")!r}, {{}}) as job:
    job.result = "it"
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "information: it in" in done.stderr
    assert os.listdir(tmp_path) == ["log"]


def test_only_jobs_on_slurm_have_a_budget(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert running.budget(120) is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert running.budget(120) == 7200 - 120
    assert running.budget(1) == 30


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU C library")
def test_freed_memory_is_kept_for_the_next_arrays():
    code = """
import resource
import numpy as np
from passband.jobs import running

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        three = [np.ones(1_000_000) for _ in range(3)]
        del three
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
running.keep_memory()
faults()
print(given_back, faults())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 10


def test_job_with_a_finished_result_succeeds_at_once(log):
    with running.job("train", log, CONFIG) as job:
        job.finish_early("2 networks in there")
        pytest.fail("the job went on")
    _, line = log.read_text().splitlines()
    assert re.fullmatch(
        r"[\d:]+ train: 2 networks in there, made by an earlier job, in \d+\.\d s", line
    )


def test_job_waits_while_another_job_does_its_work(log, capsys, monkeypatch):
    monkeypatch.setattr(lease, "_LOOK_S", 0.01)
    monkeypatch.setattr(running, "budget", lambda minutes: 0.2 * minutes)
    with lease.held(log.with_suffix(".lease")):
        before = set(log.parent.rglob("*"))
        with pytest.raises(SystemExit), running.job("train", log, CONFIG, runtime=1):
            pytest.fail("the job began")
        assert set(log.parent.rglob("*")) == before | {log}
    _, waits, error = log.read_text().splitlines()
    here = f"process {os.getpid()} on {socket.gethostname()}"
    assert waits.endswith(f"waits for another job that does the same work: {here}")
    assert f"error: train: another job still does the same work: {here}; this job" in error


LOSES = """
import sys, time
from pathlib import Path
from passband.jobs import running
print("begins", flush=True)
log, made = Path(sys.argv[1]), Path(sys.argv[2])
with running.job("train", log, {}, runtime=60) as job:
    job.log(f"until {job.deadline}")
    if made.exists():
        job.finish_early(made.name)
    for _ in job.progress(range(10**6)):
        time.sleep(0.01)
"""


@pytest.mark.slow
def test_job_that_lost_its_lease_starts_again_and_ends_with_the_others_result(
    log, tmp_path, monkeypatch
):
    """The job starts again in the process for which Snakemake waits, and keeps its deadline."""
    monkeypatch.setenv(lease.PATIENCE, "9")  # a heartbeat every second
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    script, made = tmp_path / "train.py", tmp_path / "network"
    script.write_text(LOSES)
    command = [sys.executable, script, log, made]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = log.with_suffix(".lease")
    while not (log.exists() and "until" in log.read_text()):  # then the job has its lease
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    (file,) = folder.iterdir()
    other = lease.Holder.this().file(0)
    file.rename(folder / other)
    beats = 0
    while log.read_text().count("waits for another job") < 1:
        assert first.poll() is None, first.communicate()
        (folder / other).rename(folder / (other := lease.Holder.of(other).file(beats := beats + 1)))
        time.sleep(0.1)
    made.touch()
    (folder / other).unlink()
    folder.rmdir()
    printed, _ = first.communicate(timeout=1500)
    assert first.returncode == 0
    assert printed == "begins\nbegins\n"
    lines = log.read_text()
    assert "train: another job assumed that this job had died and took over its work;" in lines
    assert len(set(re.findall(r"until (.*)", lines))) == 1
    assert re.findall(r"started on .*, process (\d+)", lines) == [str(first.pid)] * 2
    assert re.search("train: network, made by an earlier job, in", lines)
    assert "Traceback" not in lines


def test_job_keeps_another_jobs_store_of_the_same_inputs(log, tmp_path):
    """Other jobs may already read the store."""
    target, source = tmp_path / "a.zarr", tmp_path / "input"
    source.touch()
    params = {"version": 1, "axes": {"defocus_nm": [5, 10]}}
    snakemake = SimpleNamespace(output=[str(target)], input=[str(source)], params=params)
    made = xr.Dataset({"a": ("x", [1, 2])})

    def run():
        with running.job("ood", log, CONFIG) as job:
            attrs = reuse.attributes(job, snakemake, datasets.OOD)
            datasets.write(made, target, datasets.OOD, attrs)
            job.result = "it"
        return log.read_text().splitlines()[-1]

    assert " ood: it in " in run()
    assert f" ood: {target}, made by an earlier job, in " in run()
    os.utime(source, ns=(1, 1))
    assert " ood: it in " in run()
    params["version"] = 2
    assert " ood: it in " in run()
    assert f" ood: {target}, made by an earlier job, in " in run()


def test_store_of_a_newer_format_is_kept(log, tmp_path, capsys, monkeypatch):
    path = tmp_path / "a.zarr.zip"
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "FORMAT", 3)
        datasets.write(
            xr.Dataset({"a": ("x", [1, 2])}), path, datasets.WAVES, {"recipe_digest": "c"}
        )
    with pytest.raises(SystemExit), running.job("simulate", log, CONFIG):
        files.has_digest(path, datasets.WAVES, "c")
    (line,) = capsys.readouterr().err.splitlines()
    assert f"error: simulate: {path}: its format is 3, and this Passband reads up to 2" in line
    assert path.exists()


def test_job_removes_its_lease(log):
    with running.job("train", log, CONFIG) as job:
        assert [path.name for path in log.parent.iterdir() if path.is_dir()] == ["one.lease"]
        job.result = "it"
    assert os.listdir(log.parent) == ["one.log"]


def test_waiting_is_part_of_a_jobs_time(log, monkeypatch):
    with running.job("train", log, CONFIG, runtime=120) as job:
        assert job.seconds_left is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with running.job("train", log, CONFIG, runtime=120) as job:
        time.sleep(0.05)
        assert 7200 / 2 < job.seconds_left < 7200 - 120 - 0.05


def test_a_job_of_a_rule_has_its_wildcards_its_threads_and_its_time_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    threads = []
    monkeypatch.setattr(running, "cap_threads", threads.append)
    snakemake = SimpleNamespace(
        wildcards=["gold", "", "energy/"],
        log=[str(tmp_path / "job.log")],
        config=CONFIG,
        params=[{"study.seed": 1}],
        input=["b.zarr.zip", "a.zarr.zip"],
        threads=3,
        resources=SimpleNamespace(runtime=60),
    )
    with running.of_rule(snakemake, "simulate") as job:
        assert job.name == "simulate gold energy"
        assert 3000 < job.seconds_left <= 58 * 60
    with running.of_rule(snakemake, "ood", threads=1):
        pass
    assert threads == [3, 1]


def dependence(log) -> log_lines.Dependence | None:
    """Return what a log says about its job's result."""
    return log_lines.dependence(log.read_text())


DEPENDS = log_lines.Dependence.of([{"study.seed": 1}, "stage 3"], ["b.zarr.zip", "a.zarr.zip"])


def test_the_log_of_a_job_that_succeeds_says_what_its_result_depends_on(log, capsys):
    with running.job("train", log, CONFIG, depends=DEPENDS) as job:
        job.result = "it"
    assert dependence(log) == DEPENDS
    with running.job("train", log, CONFIG, depends=DEPENDS) as job:
        job.finish_early("it")
    assert dependence(log) == DEPENDS
    assert log.read_text().count("depends on: ") == 2
    assert "depends on" not in capsys.readouterr().err


def test_the_log_of_a_job_that_fails_does_not(log):
    with running.job("train", log, CONFIG, depends=DEPENDS):
        pass
    with pytest.raises(SystemExit), running.job("train", log, CONFIG, depends=DEPENDS):
        raise PassbandError("no")
    assert dependence(log) is None


def test_the_log_of_a_job_whose_study_changed_while_it_waited_does_not(log, monkeypatch):
    """It has not looked at the output, which may be that of the changed study."""
    changed = iter(["", "the study was changed"])
    monkeypatch.setattr(running, "_changed", lambda results: next(changed))
    with pytest.raises(SystemExit), running.job("train", log, CONFIG, depends=DEPENDS):
        pytest.fail("the job began")
    assert "train: nothing, since the study was changed, in " in log.read_text()
    assert dependence(log) is None


def test_sigterm_ends_a_job_with_a_line_and_no_incomplete_file(log, tmp_path, capsys):
    def terminated():
        with running.job("train", log, CONFIG), atomic.replacing(tmp_path / "out") as beside:
            beside.touch()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="1"):
        terminated()
    assert "error: train: SIGTERM: " in log.read_text()
    assert "Traceback" not in log.read_text()
    assert os.listdir(tmp_path) == ["logs"]
    assert os.listdir(log.parent) == ["one.log"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_damaged_store_is_set_aside_and_named_in_a_line(log, tmp_path, capsys):
    damaged = tmp_path / "a.zarr"
    damaged.mkdir()
    with pytest.raises(SystemExit), running.job("train", log, CONFIG):
        datasets.read(damaged, datasets.WAVES)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(
        rf"error: train: {damaged}: not a whole store of exit waves: .*; set aside as "
        r"a\.zarr\.damaged; the next run makes it again",
        line,
    )
    assert sorted(os.listdir(tmp_path)) == ["a.zarr.damaged", "logs"]


def test_store_that_cannot_be_read_is_kept(log, tmp_path, capsys):
    with pytest.raises(SystemExit), running.job("train", log, CONFIG):
        raise StoreError("a.zarr: cannot be read")
    with pytest.raises(SystemExit), running.job("train", log, CONFIG):
        raise DamagedError(tmp_path / "no" / "a.zarr", "torn")
    assert "it cannot be set aside (No such file" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["logs"]


def test_full_disk_is_one_line_even_if_the_log_is_on_it(disk, capsys):
    def write():
        with running.job("train", disk.folder / "one.log", CONFIG) as job:
            disk.fill()
            job.log("x" * 10_000)
            warnings.warn("shown nowhere", UserWarning, stacklevel=1)
            (disk.folder / "more").write_bytes(bytes(10_000))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(SystemExit, match="1"):
            write()
    said, error = capsys.readouterr().err.splitlines()
    assert said.endswith("x" * 100)
    assert "error: train: " in error
    assert re.search(r": no space left: 0 of 0\.0021 GB are free; make room and run again$", error)
    assert logging.getLogger("passband").handlers == []


def test_log_continues_after_snakemake_deleted_it_for_another_job(log):
    with running.job("train", log, CONFIG) as job:
        job.log("before")
        log.unlink()
        job.log("after")
        job.result = "it"
    assert [line.split(" ", 1)[1][:9] for line in log.read_text().splitlines()] == [
        "after",
        "train: it",
    ]
