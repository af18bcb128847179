"""Leases: one job works, the others wait; a dead job's work goes on."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from passband import lease
from passband.lease import BusyError, Holder, LostError, held

#: Takes a lease, says so, and holds it until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from passband import lease
with lease.held(Path(sys.argv[1]), pulse=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "logs" / "one.lease"


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(lease, "_LOOK_S", 0.01)


@pytest.fixture
def other(folder):
    """Another process that holds the lease, its heart beating every 20 ms."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, "0.02"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def elsewhere(monkeypatch):
    """As if this process ran on another machine than the one that holds the lease."""
    monkeypatch.setattr(lease, "_machine", lambda: "elsewhere")


def holders(folder: Path) -> list[Holder | None]:
    return [Holder.of(name) for name in os.listdir(folder)]


def test_a_lease_says_who_holds_it_and_leaves_nothing(folder, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with held(folder):
        (holder,) = holders(folder)
        assert holder.process == str(os.getpid())
        assert holder.slurm == "17"
        assert not holder.gone
        assert "SLURM job 17, process" in str(holder)
        assert os.listdir(folder.parent) == [folder.name]
    assert os.listdir(folder.parent) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_given_back_when_the_job_fails(folder, error):
    with pytest.raises(error), held(folder):
        raise error
    assert os.listdir(folder.parent) == []


def test_a_live_job_is_waited_for_until_the_deadline(folder, other, elsewhere):
    """Alive is what beats, wherever it is."""
    started = time.monotonic()
    with (
        pytest.raises(BusyError, match=rf"still does the same: process {other.pid} on "),
        held(folder, started + 0.5, patience=0.3),
    ):
        pytest.fail("two jobs hold it")
    assert time.monotonic() - started >= 0.5
    assert [h.process for h in holders(folder)] == [str(other.pid)]
    assert os.listdir(folder.parent) == [folder.name]


def test_the_lease_of_a_job_that_ends_is_taken(folder, other):
    threading.Timer(0.2, other.terminate).start()
    with held(folder, time.monotonic() + 30, patience=30):
        assert [h.process for h in holders(folder)] == [str(os.getpid())]


def test_a_dead_job_on_this_machine_is_noticed_at_once(folder, other, caplog):
    other.kill()  # left as a zombie, which does nothing either
    caplog.set_level(logging.INFO, "passband")
    with held(folder, time.monotonic() + 30, patience=1e9):
        assert [h.process for h in holders(folder)] == [str(os.getpid())]
    assert f"takes over from a dead job: process {other.pid} on " in caplog.text


def test_a_process_of_the_same_number_is_another(folder):
    mine = Holder.this()
    assert not mine.gone
    reborn = Holder.of(mine.file(3).replace(mine.started, str(int(mine.started) + 1)))
    assert reborn.gone


@pytest.mark.parametrize("skew", [-1e5, 1e5])
def test_a_dead_job_elsewhere_is_one_that_does_not_beat(folder, other, elsewhere, skew):
    """However wrong its clock is."""
    other.kill()
    other.wait()
    (file,) = folder.iterdir()
    os.utime(file, times=(time.time() + skew,) * 2)
    started = time.monotonic()
    with held(folder, patience=0.3):
        assert time.monotonic() - started >= 0.3


def test_what_is_no_lease_is_waited_for_and_taken(folder):
    folder.mkdir(parents=True)
    (folder / "something").touch()
    with held(folder, patience=0.1):
        (holder,) = holders(folder)
        assert holder.process == str(os.getpid())


def test_a_job_that_stood_still_learns_that_it_was_taken_for_dead(folder, other, elsewhere):
    other.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    with held(folder, patience=0.3) as taken:
        other.send_signal(signal.SIGCONT)
        time.sleep(0.3)  # many of its beats
        taken.confirm()
        assert [h.process for h in holders(folder)] == [str(os.getpid())]


def test_who_lost_the_lease_does_not_give_it_back(folder):
    other = Holder.this()

    def lose():
        with held(folder):
            (file,) = folder.iterdir()
            file.rename(folder / other.file(0))
            lease.confirm()

    with pytest.raises(LostError, match="another job took this one for dead"):
        lose()
    assert holders(folder) == [other]


def test_the_heart_survives_a_server_that_does_not_answer(folder, monkeypatch):
    rename, calls = Path.rename, []

    def flaky(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with held(folder, pulse=0.02) as taken:
        monkeypatch.setattr(Path, "rename", flaky)
        time.sleep(0.3)
        assert len(calls) > 3
        taken.confirm()


def test_an_answer_that_was_lost_is_no_lost_lease(folder, monkeypatch):
    """A server that is asked again finds nothing to rename, since it has done so."""
    rename = Path.rename

    def repeated(self, target):
        rename(self, target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", repeated)
    with held(folder):
        lease.confirm()
    assert os.listdir(folder.parent) == []


def test_without_a_lease_there_is_nothing_to_lose():
    assert lease.confirm() is False


def test_two_do_not_take_over_from_the_same_dead(folder, other, elsewhere):
    """Nor is a lease ever held by two of many that want it, again and again."""
    other.kill()
    other.wait()
    inside, most, done = 0, 0, []

    def work():
        nonlocal inside, most
        for _ in range(5):
            with held(folder, patience=0.2, pulse=0.02):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1
            done.append(1)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == 1
    assert len(done) == 30
