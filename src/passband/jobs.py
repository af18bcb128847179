"""What every job of the workflow has in common: a lease, so that no two do the same work; a log, a
progress bar, a last line, and no traceback for an error that the user can mend."""

import contextlib
import ctypes
import logging
import logging.handlers
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from passband import PassbandError, lease, store
from passband.config import validate

logger = logging.getLogger("passband")

#: What stands for ``.log`` in the name of a job's lease. The lease's time of change, a heartbeat's,
#: tells whether the job lives.
LEASE = ".lease"

# Parameters of the GNU C library's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


class _Done(Exception):  # noqa: N818
    """Ends a job that has nothing left to do. Its message is what the job made."""


class Job:
    """A running job.

    Attributes
    ----------
    terminal : bool
        Whether somebody may be watching: standard error is a terminal.
    study : Study
        The whole configuration, for provenance. What a job computes depends on its params alone.
    deadline : float or None
        When it must have ended [s of ``time.monotonic``]; None if nobody ends it.
    made : str
        What the job's last line says it made; to be set by the job.
    """

    def __init__(self, name: str, config: dict, seconds: float | None = None):
        self.name = name
        self.terminal = sys.stderr.isatty()
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.study = validate(config)
        self.made = ""
        self.log = logger.info

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the deadline; None if there is none."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def leave(self, made: str) -> NoReturn:
        """End the job well and at once: another has made `made` already."""
        raise _Done(f"{made}, made by an earlier job,")

    def progress(self, items: Iterable) -> Iterable:
        """Return `items` with a progress bar, drawn on a terminal only."""
        return tqdm(items, desc=self.name, disable=not self.terminal)

    def provenance(self, target: str) -> dict[str, str]:
        """Return the attributes of what the job writes; `target` is the path Snakemake makes."""
        name, configuration = self.study.study.name, self.study.model_dump_json()
        command = f"snakemake --cores all {target}"
        return store.provenance(name, self.study.digest, command) | {"configuration": configuration}


def budget(runtime: float) -> float | None:
    """Return the seconds a job may work for, or None where nobody ends it.

    Parameters
    ----------
    runtime : float
        The job's resource `runtime` [min]. Only SLURM, which is told of it, enforces it: on a
        laptop a study may take as long as it takes. Other schedulers' limits come as SIGTERM.

    Returns
    -------
    float or None
        The runtime less two minutes to start up and to save in, but at least half of it.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return None
    return max(60.0 * runtime - 120, 30.0 * runtime)


@contextlib.contextmanager
def job(
    name: str, logfile: str | Path, threads: int, config: dict, runtime: float | None = None
) -> Iterator[Job]:
    """Run a job: log to its file, cap its threads, and end with a line of what it made.

    While another job logs to the same file, and so does the same work, this one waits. An error
    that the user can mend ends the program with one line and exit code 1; a full disk is one, and
    so is a damaged store, which is set aside, to be made again.

    Parameters
    ----------
    name : str
        What the job is called in its log and its progress bar.
    logfile : path
        Where it logs. Its lease lies beside it.
    threads : int
        Cores it may use.
    config : dict
        The study's configuration.
    runtime : float, optional
        Minutes after which SLURM ends it, see :func:`budget`.
    """
    started, logfile = time.monotonic(), Path(logfile)
    with _logging(logfile), _heeding_sigterm():
        now, host = time.strftime("%H:%M:%S"), socket.gethostname()
        # For whoever looks into it: no line for the screen, and none on a full disk.
        with contextlib.suppress(OSError), logfile.open("a", encoding="utf-8") as file:
            print(f"{now} started on {host}, process {os.getpid()}", file=file)
        try:
            cap_threads(threads)
            keep_memory()
            running = Job(name, config, runtime and budget(runtime))
            with lease.held(logfile.with_suffix(LEASE), running.deadline):
                yield running
        except _Done as done:
            running.made = str(done)
        except store.DamagedError as error:
            _fail(name, f"{error.what}; {_set_aside(error)}")
        except PassbandError as error:
            _fail(name, error)
        except _Terminated:
            _fail(name, "SIGTERM: its time was up, or somebody cancelled it")
        except BaseException as error:
            if full := store.shortage(error):
                _fail(name, store.FullError(full.filename or logfile, full))
            logger.exception("%s: failed after %.1f s", name, time.monotonic() - started)
            raise
        logger.info("%s: %s in %.1f s", name, running.made, time.monotonic() - started)


def ended(log: str, rule: str) -> str | None:
    """Return how the last attempt in a job's log ended.

    Parameters
    ----------
    log : str
        What :func:`job` wrote, or the end of it.
    rule : str
        The first word of the job's name.

    Returns
    -------
    str or None
        ``"done"``, ``"failed"``, ``"interrupted"`` by Ctrl-C, or None if it does not say.
    """
    entries = re.split(r"^\d\d:\d\d:\d\d ", log, flags=re.M)
    last = entries[-1].rstrip()
    if re.match(r"error: |.+: failed after \d+\.\d s\n", last):
        by_hand = re.search(r"^KeyboardInterrupt\b.*\Z|: stopped in .* for SIGINT;", last, re.M)
        return "interrupted" if by_hand else "failed"
    return "done" if re.fullmatch(rf"{rule}\b.*: .+ in \d+\.\d s", last) else None


def _fail(name: str, why: object) -> NoReturn:
    logger.error("error: %s: %s", name, why)
    sys.exit(1)


def _set_aside(error: store.DamagedError) -> str:
    """Set a damaged store aside, and return what the user is to do."""
    try:
        aside = store.set_aside(error.path)
    except OSError as reason:
        return f"it cannot be set aside ({reason.strerror}): delete it and run again"
    return f"set aside as {aside.name}; run again, and it is made again"


class _Terminated(BaseException):
    """SIGTERM. No error that a reader of damaged files could take for damage."""


@contextlib.contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """Take SIGTERM for a wish to end, but leave nothing half written and no lease held."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may come to each of several processes
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _LogFile(logging.handlers.WatchedFileHandler):
    """A log that goes on in a new file when Snakemake has deleted the old one for another job, and
    that is silent on a full disk: what it has to say is said on the terminal too."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _logging(logfile: Path) -> Iterator[None]:
    """Send the log to a file and to standard error, and warnings to the file."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    warned = logging.getLogger("py.warnings")
    with contextlib.suppress(OSError):
        logfile.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(logfile))
        warned.addHandler(handlers[-1])
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for handler in handlers:
            warned.removeHandler(handler)
            logger.removeHandler(handler)
            handler.close()


def keep_memory() -> None:
    """Have the C library keep freed memory for what is allocated next, where it can be told to.

    By itself it gives tensors of some megabytes back to the system after every other operation of
    a network, and fresh pages cost a fifth of a step's processor time. Tensors above 32 MB are
    given back as ever: there is more arithmetic to each, and memory would have holes.
    """
    with contextlib.suppress(OSError, AttributeError):  # where it is not the GNU one
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_MMAP_THRESHOLD, 2**25)


def cap_threads(threads: int) -> None:
    """Hold the numerical libraries that are loaded already to so many threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(
            min(threads, sys.modules["numba"].config.NUMBA_NUM_THREADS)
        )
    threadpool_limits(threads)  # last, since numba has just loaded a pool of its own
