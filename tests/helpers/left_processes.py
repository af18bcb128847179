"""Hooks of pytest that fail a run of the tests if a test has left a process, and end the process.

Such a process is known by a variable of its environment, which all processes inherit that the
tests, their workers and their SLURM jobs start.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from snakemake_server import SERVERS

_MARK = "PASSBAND_TESTS"
#: Seconds in which a process may end that was told to, and whose parent has ended.
_PATIENCE_S = 30.0
#: Python itself ends such a process, together with its parent.
_HELPERS = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")


def pytest_configure(config: pytest.Config) -> None:
    if not _is_worker(config):
        os.environ[_MARK] = f"{os.getpid()}-{time.time_ns()}"


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    yield  # ends the workers
    for server in SERVERS:
        server.stop()
    if _is_worker(session.config):
        return
    deadline = time.monotonic() + _PATIENCE_S
    while (left := _left(os.environ[_MARK])) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process, (words, test) in left.items():
        print(f"\nprocess {process} was left by {test}, and is ended now: {words}", file=sys.stderr)
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _left(mark: str) -> dict[int, tuple[str, str]]:
    """Return the command and the test of each running process with a mark, by its number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (folder / "environ").read_bytes().split(b"\0")
            words = (folder / "cmdline").read_bytes()
            # The words of a process that has ended, and not been waited for, are empty.
            if f"{_MARK}={mark}".encode() not in variables or not words:
                continue
            if any(name in words for name in _HELPERS):
                continue
            tests = [
                v.partition(b"=")[2] for v in variables if v.startswith(b"PYTEST_CURRENT_TEST=")
            ]
            test = tests[0].decode(errors="replace") if tests else "the tests"
            shown = words.replace(b"\0", b" ").decode(errors="replace").strip()
            found[int(folder.name)] = shown[:500], test
    return found
