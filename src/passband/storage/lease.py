"""Leases on the shared file system: of several jobs with the same work, only one does the work.

A restarted Snakemake does not know which jobs an earlier Snakemake left running, and submits the
same jobs again. A job that has the lease may do the work. The other jobs with the same work wait
until the job with the lease ends or dies.

A lease is a folder that contains one empty file. The file's name identifies the holder, which is
the job that has the lease, and gives the number of heartbeats so far. Each of the following actions
on a lease is one rename of a file or folder. A file server does a rename completely or not at all.
So no file locks are needed, and no machine can see an incomplete action:

========= ================================== ===================================================
action    rename                             the rename fails if
========= ================================== ===================================================
acquire   a folder with the job's own file,  another job has the lease: a folder can replace
          to the path of the lease           only an empty folder
heartbeat the job's own file, to the name    another job has taken over the lease
          with the next number
take over the holder's file, to the job's    the holder has sent a heartbeat meanwhile, or a
          own name                           third job has taken over the lease
========= ================================== ===================================================

A waiting job assumes that the holder has died in two cases: the holder ran on the same machine and
its process no longer exists, or the holder has sent no heartbeat for 180 s. The waiting job
measures this time with its own clock, so the clocks of two machines are never compared. If a holder
was only suspended and another job has taken over its lease, the next heartbeat of the suspended
holder fails. A job also sends a heartbeat before it renames a result to its final path. After a
failed heartbeat, the job writes no more files, and :mod:`passband.jobs.running` makes the job wait
for the job that took over its work.

The environment variable ``PASSBAND_PATIENCE_S`` replaces the time of 180 s without a heartbeat, for
tests and for file systems that show changes very late. In the time that the variable gives, a
holder sends nine heartbeats, and at least one heartbeat every 20 s.
"""

import contextlib
import errno
import hashlib
import logging
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from passband import environment
from passband.console import escaped
from passband.errors import PassbandError

logger = logging.getLogger("passband")

#: Longest time between two heartbeats of the job that has a lease [s].
PULSE_S = 20.0
#: Time without a heartbeat after which other jobs assume that the holder has died [s]. A network
#: file system can show a folder as it was a minute ago, and a heartbeat can be a minute late.
PATIENCE_S = 180.0
#: Name of the environment variable that replaces :data:`PATIENCE_S`.
PATIENCE = "PASSBAND_PATIENCE_S"
#: Time between two checks of a lease that another job has [s].
_LOOK_S = 1.0

_held: ContextVar["Lease | None"] = ContextVar("lease", default=None)

_LOST = (
    "another job assumed that this job had died and took over its work; this job wrote nothing more"
)


class BusyError(PassbandError):
    """Another job was still doing the same work at the time limit for waiting."""


class LostError(PassbandError):
    """Another job assumed that this job had died, and took over its work."""


@dataclass(frozen=True)
class Holder:
    """The identity of a job that has a lease or wants one.

    Attributes:
        host: Name of the job's machine.
        machine: Characters that identify the job's machine since the machine's last boot, and the
            Linux name space of the job's process number.
        process, started: The number of the job's process, and the start time of this process in the
            machine's clock ticks.
        slurm: The SLURM job number; empty outside SLURM.
        unique: Random characters that differ between all holders.
    """

    host: str
    machine: str
    process: str
    started: str
    slurm: str
    unique: str

    @classmethod
    def this(cls) -> "Holder":
        """Return the identity of this process as a holder of leases."""
        state = _process("self")
        return cls(
            socket.gethostname(),
            _machine(),
            str(os.getpid()),
            state[1] if state else "",
            os.environ.get("SLURM_JOB_ID", ""),
            secrets.token_hex(8),
        )

    @classmethod
    def of(cls, file: str) -> "Holder | None":
        """Return the holder that a file's name identifies, or None if it identifies no holder."""
        *fields, beat = file.split(",")
        return cls(*fields) if len(fields) == 6 and beat.isdigit() else None

    def file(self, beat: int) -> str:
        """Return the name of the holder's file after `beat` heartbeats."""
        fields = self.host, self.machine, self.process, self.started, self.slurm, self.unique
        return ",".join([*fields, str(beat)])

    @property
    def gone(self) -> bool:
        """Whether the holder ran on this machine and the holder's process no longer runs."""
        if self.machine != _machine() or not self.process.isdigit():
            return False
        return _process(self.process) != ("alive", self.started)

    def __str__(self) -> str:
        job = f"SLURM job {self.slurm}, " if self.slurm else ""
        return escaped(f"{job}process {self.process} on {self.host}")  # it is a file's name


class Lease:
    """A lease that this process has acquired."""

    def __init__(self, folder: Path, holder: Holder):
        self._folder, self._holder, self._beat = folder, holder, 0
        self._lost, self._lock = False, threading.Lock()

    def confirm(self) -> None:
        """Send a heartbeat.

        Raises:
            LostError: If another job has taken over the lease.
            OSError: If the file system does not answer the heartbeat's rename.
        """
        with self._lock:
            before, after = (self._folder / self._holder.file(self._beat + k) for k in (0, 1))
            if not self._lost:
                try:
                    before.rename(after)
                except FileNotFoundError:
                    # If the answer of the file server was lost, the successful rename was repeated,
                    # and this second rename failed.
                    self._lost = not after.exists()
            self.check()
            self._beat += 1

    def check(self) -> None:
        """Raise LostError if an earlier heartbeat failed because another job took over the lease.

        This method does not access the file system, so it takes almost no time.
        """
        if self._lost:
            raise LostError(_LOST)

    def release(self) -> None:
        """Delete the lease, unless another job has taken it over."""
        with self._lock, contextlib.suppress(OSError):
            (self._folder / self._holder.file(self._beat)).unlink()
            self._folder.rmdir()


def confirm() -> bool:
    """Send a heartbeat if this process has a lease, and return whether it has one.

    Raises:
        LostError: If another job has taken over the lease. A process has a lease inside a block of
            :func:`held`.
    """
    if lease := _held.get():
        lease.confirm()
    return lease is not None


def check() -> None:
    """Raise LostError if an earlier heartbeat showed that the lease is lost. Use it in loops."""
    if lease := _held.get():
        lease.check()


def holder_of(folder: Path) -> Holder | None:
    """Return who has a lease, or None if nobody has it or its process on this machine has died."""
    holder = next((found for file in _files(folder) if (found := Holder.of(file))), None)
    return None if holder and holder.gone else holder


@contextlib.contextmanager
def held(folder: Path, deadline: float | None = None) -> Iterator[Lease]:
    """Keep a lease during a block of code.

    If another job has the lease, wait until this other job ends. If the other job has died, take
    over its lease.

    Args:
        folder: The path of the lease. All jobs that do the same work have the same path.
        deadline: When to stop waiting for the lease [s of ``time.monotonic``]. By default, there is
            no limit of the waiting time.

    Raises:
        BusyError: If another job still has the lease at the deadline.
        LostError: If another job has taken over the lease. This error replaces any error of the
            block of code.
    """
    patience = environment.seconds(PATIENCE, PATIENCE_S)
    holder = Holder.this()
    pulse = min(PULSE_S, patience / 9)
    _acquire(folder, holder, deadline, patience)
    lease, over = Lease(folder, holder), threading.Event()

    def beat() -> None:
        while not over.wait(pulse):
            try:
                lease.confirm()
            except LostError:
                return  # the job's next call of `confirm` or `check` raises the error
            except OSError:
                pass  # a server that does not answer now may answer at the next heartbeat

    heart = threading.Thread(target=beat, name="heartbeat", daemon=True)
    token = _held.set(lease)
    heart.start()
    try:
        yield lease
    except Exception:
        # The cause of the error may be that another job has taken over the lease and has removed
        # the files of this job.
        with contextlib.suppress(OSError):
            lease.confirm()
        raise
    finally:
        _held.reset(token)
        over.set()
        heart.join(pulse)  # the thread takes longer only if the file system hangs
        lease.release()


def _acquire(folder: Path, holder: Holder, deadline: float | None, patience: float) -> None:
    seen, since, other = None, 0.0, None
    while not _take(folder, holder):
        file = next(iter(_files(folder)), None)
        if file is None:  # its holder has just released it
            continue
        if file != seen:
            seen, since = file, time.monotonic()
        if (holder_now := Holder.of(file)) != other:
            other = holder_now
            logger.info("waits for another job that does the same work: %s", other)
        waited = time.monotonic() - since
        if (other and other.gone) or waited > patience:
            with contextlib.suppress(FileNotFoundError):
                (folder / file).rename(folder / holder.file(0))
                logger.info("takes over the work of a job that has died: %s", other)
                return
        elif deadline is not None and time.monotonic() > deadline:
            raise BusyError(
                f"another job still does the same work: {other}; this job changed no files, and "
                "its next attempt checks again"
            )
        time.sleep(min(_LOOK_S, patience))


def _take(folder: Path, holder: Holder) -> bool:
    """Try to acquire a lease, and return whether this job now has it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{holder.unique}.{folder.name}")
    beside.mkdir()
    try:
        (beside / holder.file(0)).touch(exist_ok=False)
        beside.rename(folder)
    except OSError as error:
        # There are two possible causes. Either another job has the lease, or the answer of the file
        # server was lost, and the successful rename was repeated.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return holder.file(0) in _files(folder)


def _files(folder: Path) -> list[str]:
    """Return the names of the files in a folder, or an empty list if the folder does not exist."""
    try:
        # Names that begin with a dot belong to files that a network file system has added.
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _process(number: str) -> tuple[str, str] | None:
    """Return whether a process is alive and its start in clock ticks, or None without it."""
    try:
        # The name of the process is in parentheses. Any character can be in this name.
        state, *fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "dead" if state in "ZX" else "alive", fields[18]


@cache
def _machine() -> str:
    """Return 16 characters that identify this machine, its last boot and its process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        name_space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux: then no holder is ever recognised as gone by its process
        return secrets.token_hex(8)
    return hashlib.blake2b((boot + name_space).encode(), digest_size=8).hexdigest()
