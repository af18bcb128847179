"""Which job does a piece of work: a lease, kept on the file system that all jobs share.

A restarted Snakemake does not know the jobs that an earlier one left, and submits them again beside
those that run. A lease lets one of them work; the others wait for it, or for its death.

A lease is a folder with one empty file in it, whose name says who holds the lease and how often its
heart has beaten. All that is done to it is one rename, which a file server does at once or not at
all, so that no file locks are needed, and no server or client can show it half done:

========= =================================== ==================================================
to        rename                              which fails if
========= =================================== ==================================================
take it   a folder with one's file in it,     it is held: a folder takes the place of an empty
          to the lease                        one only
beat      one's file, to the next beat        another job has taken the lease over
take over the holder's file, to one's own     the holder has beaten since, or another took over
========= =================================== ==================================================

A holder is dead if it ran on this machine and its process is gone, or if its heart has not beaten
for a while of the *observer's* clock: no two machines' clocks are compared. A job that only stood
still, and was taken for dead, learns so at its next beat, and before it puts anything in place.
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

from passband import PassbandError

logger = logging.getLogger("passband")

#: Seconds from one beat to the next.
PULSE_S = 20.0
#: Seconds without a beat after which a holder is taken for dead. Network file systems can show a
#: folder as it was a minute ago, and a job can be kept from its beat for as long.
PATIENCE_S = 180.0
#: Seconds from one look to the next.
_LOOK_S = 1.0

_held: ContextVar["Lease | None"] = ContextVar("lease", default=None)


class BusyError(PassbandError):
    """Another job is doing the same work, for longer than one can wait."""


class LostError(PassbandError):
    """Another job has taken this one for dead, and goes on with its work."""


@dataclass(frozen=True)
class Holder:
    """A job that can hold a lease.

    Attributes
    ----------
    host : str
        Name of its machine.
    machine : str
        What tells the machine, and the name space that process numbers are of, from all others.
    process, started : str
        Number of its process, and when that started, in the machine's own ticks.
    slurm : str
        Number of its SLURM job, or nothing.
    unique : str
        What no other holder has.
    """

    host: str
    machine: str
    process: str
    started: str
    slurm: str
    unique: str

    @classmethod
    def this(cls) -> "Holder":
        """Return this process as a holder."""
        found = _process("self")
        return cls(
            socket.gethostname(),
            _machine(),
            str(os.getpid()),
            found[1] if found else "",
            os.environ.get("SLURM_JOB_ID", ""),
            secrets.token_hex(8),
        )

    @classmethod
    def of(cls, file: str) -> "Holder | None":
        """Return the holder that a file's name tells of, None if it is no such name."""
        *fields, beat = file.split(",")
        return cls(*fields) if len(fields) == 6 and beat.isdigit() else None

    def file(self, beat: int) -> str:
        """Return the name of its file after so many beats."""
        fields = self.host, self.machine, self.process, self.started, self.slurm, self.unique
        return ",".join([*fields, str(beat)])

    @property
    def gone(self) -> bool:
        """Whether it ran on this machine and runs no more."""
        if self.machine != _machine() or not self.process.isdigit():
            return False
        return _process(self.process) != ("alive", self.started)

    def __str__(self) -> str:
        job = f"SLURM job {self.slurm}, " if self.slurm else ""
        return f"{job}process {self.process} on {self.host}"


class Lease:
    """A lease that this process holds."""

    def __init__(self, folder: Path, holder: Holder):
        self._folder, self._holder, self._beat = folder, holder, 0
        self._lost, self._lock = False, threading.Lock()

    def confirm(self) -> None:
        """Beat.

        Raises
        ------
        LostError
            If another job has taken the lease over.
        OSError
            If the file system does not answer.
        """
        with self._lock:
            before, after = (self._folder / self._holder.file(self._beat + k) for k in (0, 1))
            if not self._lost:
                try:
                    before.rename(after)
                except FileNotFoundError:
                    # A server whose answer was lost is asked again, and has done it already.
                    self._lost = not after.exists()
            if self._lost:
                raise LostError(
                    "another job took this one for dead and goes on with its work; nothing more "
                    "was written"
                )
            self._beat += 1

    def release(self) -> None:
        """Let others take it. One that was taken over is left alone."""
        with self._lock, contextlib.suppress(OSError):
            (self._folder / self._holder.file(self._beat)).unlink()
            self._folder.rmdir()


def confirm() -> bool:
    """Make sure that what this process does is still its to do, and return whether it has a lease.

    Raises
    ------
    LostError
        If another job has taken over the lease that :func:`held` holds around this call.
    """
    if lease := _held.get():
        lease.confirm()
    return lease is not None


@contextlib.contextmanager
def held(
    folder: Path,
    deadline: float | None = None,
    *,
    pulse: float = PULSE_S,
    patience: float = PATIENCE_S,
) -> Iterator[Lease]:
    """Hold a lease; wait for it while a live job holds it, and take it over from a dead one.

    Parameters
    ----------
    folder : path
        The lease: the same for all jobs that do the same work.
    deadline : float, optional
        When to give up waiting [s of ``time.monotonic``]; without it, never.
    pulse, patience : float
        Seconds between beats, and without one after which a holder is taken for dead.

    Raises
    ------
    BusyError
        If another job still holds it at the deadline.
    """
    holder = Holder.this()
    _acquire(folder, holder, deadline, patience)
    lease, over = Lease(folder, holder), threading.Event()

    def beat() -> None:
        while not over.wait(pulse):
            try:
                lease.confirm()
            except LostError:
                return  # what the job does next tells it
            except OSError:
                pass  # a server that does not answer now may do so next time

    heart = threading.Thread(target=beat, name="heartbeat", daemon=True)
    token = _held.set(lease)
    heart.start()
    try:
        yield lease
    finally:
        _held.reset(token)
        over.set()
        heart.join(pulse)  # longer only if the file system hangs
        lease.release()


def _acquire(folder: Path, holder: Holder, deadline: float | None, patience: float) -> None:
    seen, since, other = None, 0.0, None
    while not _take(folder, holder):
        file = next(iter(_files(folder)), None)
        if file is None:  # given back this moment
            continue
        if file != seen:
            seen, since = file, time.monotonic()
        if (found := Holder.of(file)) != other:
            other = found
            logger.info("another job does the same, and is waited for: %s", other)
        waited = time.monotonic() - since
        if (other and other.gone) or waited > patience:
            with contextlib.suppress(FileNotFoundError):
                (folder / file).rename(folder / holder.file(0))
                logger.info("takes over from a dead job: %s", other)
                return
        elif deadline is not None and time.monotonic() > deadline:
            raise BusyError(
                f"another job still does the same: {other}; nothing was touched, and the next "
                "attempt looks again"
            )
        time.sleep(min(_LOOK_S, patience))


def _take(folder: Path, holder: Holder) -> bool:
    """Take a lease that nobody holds, and return whether that went well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{holder.unique}.{folder.name}")
    beside.mkdir()
    try:
        (beside / holder.file(0)).touch(exist_ok=False)
        beside.rename(folder)
    except OSError as error:
        # Held; or a server whose answer was lost was asked again, and had done it already.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return holder.file(0) in _files(folder)


def _files(folder: Path) -> list[str]:
    """Return the names in a folder, none if it is not there."""
    try:
        # Those of a network file system's own begin with a dot.
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _process(number: str) -> tuple[str, str] | None:
    """Return of a process on this machine whether it is alive, and when it started, in ticks."""
    try:
        # The name in parentheses can have any character in it.
        state, *fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "dead" if state in "ZX" else "alive", fields[18]


@cache
def _machine() -> str:
    """Return what this boot of this machine, and its process numbers, are known by."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        name_space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux: no holder can be told to be gone
        return secrets.token_hex(8)
    return hashlib.blake2b((boot + name_space).encode(), digest_size=8).hexdigest()
