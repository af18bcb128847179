"""Leases: one job works, the other jobs wait; another job continues the work of a dead job."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from passband import PassbandError
from passband.storage import lease
from passband.storage.lease import BusyError, Holder, LostError, held

#: Takes a lease, says so, and holds it until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from passband.storage import lease
with lease.held(Path(sys.argv[1])):
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
    """Another process that has the lease, and renews it every 20 ms."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {lease.PATIENCE: "0.18"},
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


class Clock:
    """A clock that advances only when the waiting job sleeps.

    Whenever the job sleeps, the function `meanwhile` is called.
    """

    def __init__(self, meanwhile=lambda: None):
        self.now, self._meanwhile = 0.0, meanwhile

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._meanwhile()


@pytest.fixture
def elsewhere(monkeypatch):
    """Make this process look as if it ran on another machine than the holder of the lease."""
    monkeypatch.setattr(lease, "_machine", lambda: "elsewhere")


def holders(folder: Path) -> list[Holder | None]:
    return [Holder.of(name) for name in os.listdir(folder)]


def test_a_lease_names_its_holder_and_is_removed_completely(folder, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with held(folder):
        (holder,) = holders(folder)
        assert holder.process == str(os.getpid())
        assert holder.slurm == "17"
        assert not holder.gone
        assert "SLURM job 17, process" in str(holder)
        assert lease.holder_of(folder) == holder
        assert os.listdir(folder.parent) == [folder.name]
    assert os.listdir(folder.parent) == []
    assert lease.holder_of(folder) is None


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_the_lease_is_removed_when_the_job_fails(folder, error):
    with pytest.raises(error), held(folder):
        raise error
    assert os.listdir(folder.parent) == []


def test_a_live_job_is_waited_for_until_the_deadline(folder, monkeypatch, elsewhere):
    """A holder that renews its lease is alive, whatever machine the holder runs on."""
    holder, beats = Holder("there", "another machine", "17", "4", "", "x"), 0

    def beat():
        nonlocal beats
        (folder / holder.file(beats)).rename(folder / holder.file(beats := beats + 1))

    folder.mkdir(parents=True)
    (folder / holder.file(0)).touch()
    clock = Clock(meanwhile=beat)
    monkeypatch.setattr(lease, "time", clock)
    monkeypatch.setenv(lease.PATIENCE, "1")
    with (
        pytest.raises(BusyError, match="still does the same work: process 17 on there;"),
        held(folder, deadline=5),
    ):
        pytest.fail("two jobs hold it")
    assert 5 < clock.now < 5.1
    assert holders(folder) == [holder]
    assert os.listdir(folder.parent) == [folder.name]


def test_the_lease_of_a_job_that_ends_is_taken(folder, other):
    threading.Timer(0.2, other.terminate).start()
    with held(folder, time.monotonic() + 30):
        assert [h.process for h in holders(folder)] == [str(os.getpid())]


def test_a_dead_job_on_this_machine_is_noticed_at_once(folder, other, caplog):
    other.kill()  # left as a zombie, which does nothing either
    caplog.set_level(logging.INFO, "passband")
    with held(folder, time.monotonic() + 30):
        assert [h.process for h in holders(folder)] == [str(os.getpid())]
    assert f"takes over the work of a job that has died: process {other.pid} on " in caplog.text


def test_a_process_of_the_same_number_is_another(folder):
    mine = Holder.this()
    assert not mine.gone
    reborn = Holder.of(mine.file(3).replace(mine.started, str(int(mine.started) + 1)))
    assert reborn.gone


@pytest.mark.slow
@pytest.mark.parametrize("skew", [-1e5, 1e5])
def test_a_dead_job_elsewhere_does_not_renew_its_lease(folder, other, elsewhere, skew, monkeypatch):
    """The dead job is recognised for any error of the clock on its machine."""
    monkeypatch.setenv(lease.PATIENCE, "0.3")
    other.kill()
    other.wait()
    (file,) = folder.iterdir()
    os.utime(file, times=(time.time() + skew,) * 2)
    started = time.monotonic()
    with held(folder):
        assert time.monotonic() - started >= 0.3


def test_a_file_that_is_no_lease_is_waited_for_and_replaced(folder, monkeypatch):
    monkeypatch.setenv(lease.PATIENCE, "0.1")
    folder.mkdir(parents=True)
    (folder / "something").touch()
    with held(folder):
        (holder,) = holders(folder)
        assert holder.process == str(os.getpid())


@pytest.mark.slow
def test_a_job_that_stood_still_learns_that_it_was_taken_for_dead(
    folder, other, elsewhere, monkeypatch
):
    monkeypatch.setenv(lease.PATIENCE, "0.3")
    other.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    with held(folder) as taken:
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

    with pytest.raises(LostError, match="another job assumed that this job had died"):
        lose()
    assert holders(folder) == [other]


def lose(folder):
    """Let another job take over the lease of this process, which may send a heartbeat meanwhile."""
    while True:
        (file,) = folder.iterdir()
        with contextlib.suppress(FileNotFoundError):
            return file.rename(folder / Holder.this().file(0))


def test_an_error_after_the_lease_was_lost_is_a_lost_error(folder):
    """The job that took over removes the incomplete files of the other job."""

    def fail(error):
        with held(folder):
            lose(folder)
            raise error

    for error in (FileNotFoundError, ValueError, PassbandError):
        with pytest.raises(LostError):
            fail(error)
        shutil.rmtree(folder)
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt)


def test_a_lost_lease_is_known_without_reading_the_disk_again(folder, monkeypatch):
    monkeypatch.setattr(lease, "PULSE_S", 0.02)

    def work():
        with held(folder):
            lease.check()
            lose(folder)
            while True:
                time.sleep(0.01)
                lease.check()

    with pytest.raises(LostError):
        work()
    lease.check()  # without a lease


@pytest.mark.slow
def test_the_environment_sets_the_patience(folder, other, elsewhere, monkeypatch):
    other.kill()
    other.wait()
    monkeypatch.setenv(lease.PATIENCE, "0.3")
    with held(folder) as taken:
        before = set(os.listdir(folder))
        # Without the variable, the next heartbeat would be 20 s later.
        began = time.monotonic()
        while set(os.listdir(folder)) == before:
            assert time.monotonic() - began < lease.PULSE_S
            time.sleep(0.01)
        taken.check()


@pytest.mark.parametrize(("patience", "pulse"), [("0.9", 0.1), ("900", 20)])
def test_nine_heartbeats_fit_into_the_patience(folder, monkeypatch, patience, pulse):
    """At least one heartbeat is sent every 20 s."""
    waits = []

    class Over(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return True

    known = {"Thread": threading.Thread, "Lock": threading.Lock}
    monkeypatch.setattr(lease, "threading", SimpleNamespace(Event=Over, **known))
    monkeypatch.setenv(lease.PATIENCE, patience)
    with held(folder):
        while not waits:
            time.sleep(0.001)
    assert waits == [pytest.approx(pulse)]


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_patience_that_is_none_is_named(folder, monkeypatch, text):
    monkeypatch.setenv(lease.PATIENCE, text)
    with (
        pytest.raises(PassbandError, match=f"PASSBAND_PATIENCE_S = '{text}': must be a positive"),
        held(folder),
    ):
        pytest.fail("it is held")


def test_the_heart_survives_a_server_that_does_not_answer(folder, monkeypatch):
    rename, calls = Path.rename, []

    def flaky(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(lease, "PULSE_S", 0.02)
    with held(folder) as taken:
        monkeypatch.setattr(Path, "rename", flaky)
        while len(calls) <= 3:
            time.sleep(0.01)
        taken.confirm()


def test_a_lost_answer_of_the_server_does_not_lose_the_lease(folder, monkeypatch):
    """A server that repeats a rename finds no source, because the first rename succeeded."""
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


def test_only_one_process_at_a_time_takes_over_from_a_dead_job(folder, other, monkeypatch):
    """Many threads acquire the lease repeatedly, but never two at the same time.

    All threads notice at once that the process with the lease is dead.
    """
    monkeypatch.setattr(lease, "PULSE_S", 0.02)
    other.kill()
    other.wait()
    inside, most, done = 0, 0, []

    def work():
        nonlocal inside, most
        for _ in range(5):
            with held(folder):
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
