"""What all jobs of the workflow have in common.

A job has a lease, so that no two jobs do the same work. A job has a log, a progress bar, and a last
line with its result. If the user can correct an error, its message is one line without a traceback.
"""

import contextlib
import ctypes
import json
import logging
import logging.handlers
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from passband import console, log_lines
from passband.config import validate_job
from passband.errors import PassbandError
from passband.results import Results, layout, snapshot
from passband.storage import DamagedError, FullError, integrity, lease, provenance

logger = logging.getLogger("passband")

# The environment variable from which a program that starts again reads its deadline.
_DEADLINE = "PASSBAND_DEADLINE"

# Parameters of the GNU C library's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


class _Done(Exception):  # noqa: N818
    """Ends a job that has nothing left to do. The exception's message is the job's result."""


class Running:
    """What a job has while it runs.

    Attributes:
        terminal: Whether standard error is a terminal, so that somebody may read it.
        study: The whole configuration, which is stored with the output for provenance. A job's
            result depends only on its recipe, or on its params.
        results: The study with its folder.
        deadline: The time when the job must have ended [s of ``time.monotonic``]; None without a
            time limit.
        result: The job's result in words, for the last line of the job's log. The job sets this
            attribute.
    """

    def __init__(self, name: str, config: dict, logfile: Path, *, seconds: float | None = None):
        self.name = name
        self.terminal = sys.stderr.isatty()
        self.deadline = None if seconds is None else time.monotonic() + seconds
        if before := os.environ.pop(_DEADLINE, None):
            self.deadline = float(before)
        self.study = validate_job(config)
        self.results = Results(self.study, layout.results_of(logfile) or Path())
        self.result = ""
        self.log = logger.info

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the deadline; None if the job has no deadline."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def finish_early(self, result: str) -> NoReturn:
        """End the job successfully now, because an earlier job has made `result`."""
        raise _Done(log_lines.reused(result))

    def progress(self, items: Iterable) -> Iterator:
        """Yield `items`, and draw a progress bar if standard error is a terminal.

        Raises:
            LostError: If another job has taken over this job's work.
        """
        for item in tqdm(items, desc=self.name, disable=not self.terminal):
            lease.check()
            yield item

    def provenance(self, target: str) -> dict[str, str]:
        """Return the attributes of the job's output; `target` is the output's path."""
        command = f"snakemake --cores all {target}"
        attributes = provenance.attributes(self.study.study.name, self.study.digest, command)
        attributes["configuration"] = json.dumps(self.study.written())
        if own := self.study.known_parts.identities():
            attributes[provenance.OWN_PARTS] = json.dumps(own)
        return attributes


def budget(runtime: float) -> float | None:
    """Return the seconds that a job may work, or None if the job has no time limit.

    Args:
        runtime: The job's resource `runtime` [min]. Only SLURM receives this limit and ends a job
            that exceeds the limit. On a laptop, a study has no time limit. Other schedulers send
            SIGTERM when their own limit is reached.

    Returns:
        The runtime minus two minutes, which are for starting and saving; but at least half of the
        runtime.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return None
    return max(60.0 * runtime - 120, 30.0 * runtime)


def of_rule(
    snakemake, what: str, *, threads: int | None = None
) -> contextlib.AbstractContextManager[Running]:
    """Run the job of a rule, see :func:`job`.

    Args:
        snakemake: The object that Snakemake passes to a script.
        what: What the job does, such as ``train``. The job's name has its wildcards after it.
        threads: Threads of the numerical libraries; by default those of the rule.
    """
    wildcards = (word.rstrip("/") for word in snakemake.wildcards if word)
    return job(
        " ".join([what, *wildcards]),
        snakemake.log[0],
        snakemake.config,
        threads=snakemake.threads if threads is None else threads,
        runtime=snakemake.resources.runtime,
        depends=log_lines.Dependence.of(snakemake.params, snakemake.input),
    )


@contextlib.contextmanager
def job(
    name: str,
    logfile: str | Path,
    config: dict,
    *,
    threads: int = 1,
    runtime: float | None = None,
    depends: log_lines.Dependence | None = None,
) -> Iterator[Running]:
    """Run a job: write its log, limit its threads, and end with a line about its result.

    Two jobs that log to the same file do the same work. This job waits while another such job runs.
    If the user can correct an error, the program prints one line and ends with exit code 1.
    Examples of such errors are a full disk and a damaged store. A damaged store is renamed, and the
    next run makes the store again.

    A job that lost its lease must not fail, because Snakemake would then delete the output of the
    job that took over. The program therefore starts again in the same process, and waits for
    the other job. If the other job succeeds, this job ends with the other job's result. If the
    other job fails, this job continues.

    Args:
        name: The job's name in its log and its progress bar.
        logfile: The file of the job's log. The job's lease is in the same folder.
        runtime: Minutes after which SLURM ends the job, see :func:`budget`.
        depends: What the job's result depends on. Its log says so if it succeeds, for Snakemake in
            a copy of the results, see :mod:`passband.runs.validity`.
    """
    console.prepare()
    started = time.monotonic()
    logfile = Path(logfile)
    begun = False
    with _logging(logfile), _heeding_sigterm():
        _note(logfile, log_lines.started(socket.gethostname(), os.getpid()))
        try:
            cap_threads(threads)
            keep_memory()
            running = Running(name, config, logfile, seconds=runtime and budget(runtime))
            if changed := _changed(running.results):
                raise PassbandError(f"{changed}; run Snakemake's command again")
            with lease.held(logfile.with_suffix(layout.LEASE), running.deadline):
                # While this job waited, another job may have made what the changed study needs.
                # Snakemake would delete that output if this job failed.
                if changed := _changed(running.results):
                    depends = None
                    raise _Done(f"nothing, since {changed},")
                begun = True
                yield running
        except _Done as done:
            running.result = str(done)
        except lease.LostError as error:
            logger.info("%s: %s; this job starts again and waits for the other job", name, error)
            _begin_again(running.deadline)
        except DamagedError as error:
            _fail(name, f"{error.what}; {_set_aside(error)}")
        except PassbandError as error:
            _fail(name, error)
        except KeyboardInterrupt:
            _fail(name, log_lines.interrupted())
        except _Terminated:
            _fail(name, "SIGTERM: the time limit was reached, or somebody cancelled the job")
        except BaseException as error:
            if full := integrity.disk_full_error(error):
                _fail(name, FullError(full.filename or logfile, full))
            logger.exception(log_lines.crashed(name, time.monotonic() - started))
            raise
        if depends is not None:
            _note(logfile, log_lines.depends(depends))
        logger.info(log_lines.finished(name, running.result, time.monotonic() - started))
        if not begun:
            sys.exit()


def _note(logfile: Path, line: str) -> None:
    """Write a line to the log only, not to the screen. If the disk is full, it is not written."""
    with contextlib.suppress(OSError), logfile.open("a", encoding="utf-8") as file:
        print(time.strftime(log_lines.TIME), line, file=file)


def _begin_again(deadline: float | None) -> NoReturn:
    """Start this program again in the same process, with the same deadline."""
    if deadline is not None:
        os.environ[_DEADLINE] = str(deadline)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)


def _changed(results: Results) -> str:
    """Return a message if the study changed after the job was submitted, otherwise ""."""
    if not snapshot.changed(results):
        return ""
    return "the study or one of its crystal files was changed after this job was submitted"


def _fail(name: str, why: object) -> NoReturn:
    logger.error(log_lines.failed(name, why))
    sys.exit(1)


def _set_aside(error: DamagedError) -> str:
    """Rename a damaged store so that it is made again, and return what the user must do next."""
    try:
        aside = integrity.set_aside(error.path)
    except OSError as reason:
        return f"it cannot be set aside ({reason.strerror}): delete it and run again"
    return f"set aside as {aside.name}; the next run makes it again"


class _Terminated(BaseException):
    """The job received SIGTERM.

    This class is no `Exception`, since code that reads files would report an `Exception` as damage.
    """


@contextlib.contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """End the job on SIGTERM, and leave neither an incomplete file nor a lease behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # SIGTERM may be sent again
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _LogFile(logging.handlers.WatchedFileHandler):
    """A log that continues in a new file if Snakemake deleted the old file for another job.

    On a full disk the handler writes nothing and raises no error, since the terminal shows each
    line of the log too.
    """

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
    """Write log lines to a file and to standard error, and write warnings to the file only."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    warned = logging.getLogger("py.warnings")
    with contextlib.suppress(OSError):
        logfile.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(logfile, encoding="utf-8"))
        warned.addHandler(handlers[-1])
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", log_lines.TIME))
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
    """Make the GNU C library keep freed memory for the next allocations.

    With another C library this function changes nothing.

    By default the library returns tensors of a few megabytes to the system after every second
    operation of a network. The system then provides new pages of memory, which takes a fifth of
    the processor time of an optimizer step. Tensors above 32 MB are still returned, because
    operations on them take much longer than new pages of memory, and because kept memory would
    become fragmented.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_MMAP_THRESHOLD, 2**25)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and other libraries compute with one thread, as jobs on a CPU do."""
    import torch

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def cap_threads(threads: int) -> None:
    """Limit the numerical libraries that are already loaded to `threads` threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(
            min(threads, sys.modules["numba"].config.NUMBA_NUM_THREADS)
        )
    threadpool_limits(threads)  # at the end, since numba has just loaded its thread pool
