"""What every job of the workflow has in common: a log, a progress bar, a last line, no traceback
for an error that the user can mend."""

import contextlib
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from passband import PassbandError, store
from passband.config import validate

logger = logging.getLogger("passband")

#: A running job's log is touched this often [s], so that its age tells whether the job lives.
HEARTBEAT_S = 60.0


class Job:
    """A running job.

    Attributes
    ----------
    terminal : bool
        Whether somebody may be watching: standard error is a terminal.
    study : Study
        The whole configuration, for provenance. What a job computes depends on its params alone.
    made : str
        What the job's last line says it made; to be set by the job.
    """

    def __init__(self, name: str, config: dict):
        self.name = name
        self.terminal = sys.stderr.isatty()
        self.study = validate(config)
        self.made = ""
        self.log = logger.info

    def progress(self, items: Iterable) -> Iterable:
        """Return `items` with a progress bar, drawn on a terminal only."""
        return tqdm(items, desc=self.name, disable=not self.terminal)

    def provenance(self, target: str) -> dict[str, str]:
        """Return the attributes of what the job writes; `target` is the path Snakemake makes."""
        name, configuration = self.study.study.name, self.study.model_dump_json()
        command = f"snakemake --cores all {target}"
        return store.provenance(name, self.study.digest, command) | {"configuration": configuration}


@contextlib.contextmanager
def job(name: str, logfile: str | Path, threads: int, config: dict) -> Iterator[Job]:
    """Run a job: log to its file, cap its threads, and end with a line of what it made.

    An error that the user can mend ends the program with one line and exit code 1.

    Parameters
    ----------
    name : str
        What the job is called in its log and its progress bar.
    logfile : path
        Where it logs.
    threads : int
        Cores it may use.
    config : dict
        The study's configuration.
    """
    started = time.monotonic()
    with _logging(logfile), _heartbeat(Path(logfile)):
        try:
            cap_threads(threads)
            running = Job(name, config)
            yield running
        except PassbandError as error:
            logger.error("error: %s: %s", name, error)
            sys.exit(1)
        except BaseException:
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
        return "interrupted" if re.search(r"^KeyboardInterrupt\b.*\Z", last, re.M) else "failed"
    return "done" if re.fullmatch(rf"{rule}\b.*: .+ in \d+\.\d s", last) else None


@contextlib.contextmanager
def _heartbeat(logfile: Path) -> Iterator[None]:
    """Say in the log where the job runs, and touch it as long as it does."""
    now, host = time.strftime("%H:%M:%S"), socket.gethostname()
    with logfile.open("a", encoding="utf-8") as file:  # for whoever looks into it: no screen's line
        print(f"{now} started on {host}, process {os.getpid()}", file=file)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):
                os.utime(logfile)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _logging(logfile: str | Path) -> Iterator[None]:
    """Send the log to a file and to standard error, and warnings to the file."""
    Path(logfile).parent.mkdir(parents=True, exist_ok=True)
    file, terminal = logging.FileHandler(logfile), logging.StreamHandler(sys.stderr)
    for handler in (file, terminal):
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(file)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger("py.warnings").removeHandler(file)
        for handler in (file, terminal):
            logger.removeHandler(handler)
            handler.close()


def cap_threads(threads: int) -> None:
    """Hold the numerical libraries that are loaded already to so many threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(
            min(threads, sys.modules["numba"].config.NUMBA_NUM_THREADS)
        )
    threadpool_limits(threads)  # last, since numba has just loaded a pool of its own
