"""Finds the state of each job from the names and the times of the job's files and of its lease.

If a job has started and has no output, its log is read too. This module does not need Snakemake,
opens no store, and writes no file.
"""

import math
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from passband import PassbandError, log_lines
from passband.config import Study
from passband.network_id import NetworkId
from passband.results import Results, layout
from passband.results.layout import LEASE
from passband.runs.tasks import Task, tasks
from passband.storage import lease

#: The states of a job.
STATES = ("done", "running", "failed", "waiting")

#: A job is assumed to have died if its log and its lease have not changed for this time [s]. In
#: this time a job renews its lease 15 times. The time is so long because clocks differ and network
#: file systems show changes late.
PATIENCE_S = 15 * lease.PULSE_S

#: If a log is newer than its job's output by more than this time [s], a later attempt wrote the
#: log.
_MARGIN_S = 3 * lease.PULSE_S

#: Suffixes of the names of stores and of leases. The content of such folders is not listed.
_WHOLE = (".zarr", LEASE)


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes:
        stage, cells, networks, needed: See :class:`passband.runs.tasks.Task`.
        log: Path of the job's log.
        state: One of :data:`STATES`.
        time: When the job's output last changed [s since the epoch]. If the job has no output, when
            its log or its lease last changed; 0 if none of these files exists.
        silent: Whether the job failed without a message, because the job was killed or its node
            went down.
    """

    stage: str
    cells: tuple[NetworkId, ...]
    networks: int
    log: str
    state: str
    time: float
    silent: bool = False
    needed: bool = True
    rule: str = ""


@dataclass(frozen=True)
class Status:
    """The states of all jobs of a study at a given time.

    Attributes:
        jobs: All jobs of the complete study, and those jobs on request that were started.
        now: The given time [s since the epoch].
        snakemake: "running" if Snakemake runs the study on this machine. "locked" if the study has
            a lock of Snakemake, but no Snakemake runs the study on this machine: Snakemake runs on
            another machine, or was killed. Otherwise "".
        since: When Snakemake locked the study [s since the epoch]; 0 if the study is not locked.
    """

    results: Results
    jobs: tuple[Job, ...]
    now: float
    snakemake: str = ""
    since: float = 0.0

    @property
    def study(self) -> Study:
        """The configuration."""
        return self.results.study

    @cached_property
    def stages(self) -> dict[str, list[Job]]:
        """Jobs by stage, in the order of the workflow."""
        stages: dict[str, list[Job]] = {}
        for job in self.jobs:
            stages.setdefault(job.stage, []).append(job)
        return stages

    @cached_property
    def cells(self) -> dict[NetworkId, str]:
        """State of the networks of each specimen, architecture and training condition.

        The state is "failed" or "running" if one of their `train` and `evaluate` jobs
        has this state. Otherwise it is "done" or "waiting" if all these jobs have this state. In
        all other cases the state is "partly".
        """
        states: dict[NetworkId, set[str]] = {}
        for job in self.jobs:
            for cell in job.cells:
                states.setdefault(cell, set()).add(job.state)
        return {cell: _together(of_jobs) for cell, of_jobs in states.items()}

    @property
    def failures(self) -> list[Job]:
        """Failed jobs, the newest first."""
        return sorted(
            (job for job in self.jobs if job.state == "failed"), key=lambda job: -job.time
        )

    @property
    def running(self) -> dict[str, int]:
        """Number of running jobs of each stage."""
        return Counter(job.stage for job in self.jobs if job.state == "running")

    @property
    def complete(self) -> bool:
        """Whether all jobs that the study needs are done."""
        return all(job.state == "done" for job in self.jobs if job.needed)

    @property
    def over(self) -> bool:
        """Whether no job will run until the user does something.

        This is true if no job runs now and the study is complete. It is also true if no job runs
        now, a job failed, and no Snakemake runs.
        """
        return not self.running and (self.complete or (bool(self.failures) and not self.snakemake))

    def networks(self, stage: str) -> tuple[int, int]:
        """Return the number of networks whose job of a stage is done, and of all networks."""
        done = sum(job.networks for job in self.stages[stage] if job.state == "done")
        return done, sum(job.networks for job in self.stages[stage])

    def until(self, stage: str) -> float:
        """Return the end of the period in which a stage's rate is counted [s since the epoch].

        If jobs of the stage run or will run, the period ends now. Otherwise it ends when the
        stage's last job ended.
        """
        of_stage = self.stages[stage]
        left = any(job.state == "waiting" for job in of_stage)
        if any(job.state == "running" for job in of_stage) or (self.snakemake and left):
            return self.now
        return max((job.time for job in of_stage if job.state == "done"), default=self.now)

    def rate(self, stage: str) -> tuple[float, float] | None:
        """Return networks per hour, and the hours of the period in which networks are counted.

        If too few jobs are done, None is returned. The period is the last hour before
        :meth:`until`. If fewer than ten jobs ended in that hour, the period is the last 6 hours, 24
        hours, or all time.
        """
        until = self.until(stage)
        finished = sorted(
            (until - job.time, job.networks) for job in self.stages[stage] if job.state == "done"
        )
        for hours in (1, 6, 24, math.inf):
            inside = [pair for pair in finished if pair[0] <= 3600 * hours]
            if len(inside) >= 10 or (len(inside) > 1 and len(inside) == len(finished)):
                break
        else:
            return None
        if len(inside) == len(finished):
            # The first job ended within this period, and when it started is unknown. Count from its
            # end.
            hours, inside = max(inside[-1][0], 1.0) / 3600, inside[:-1]
        return sum(networks for _, networks in inside) / hours, hours

    @property
    def end(self) -> float | None:
        """When training and testing will end at the present rate [s since the epoch], or None."""
        hours = []
        for stage in ("train", "evaluate"):
            done, total = self.networks(stage)
            rate = self.rate(stage)
            if rate and done < total:
                hours.append((total - done) / rate[0])
        return self.now + 3600 * max(hours) if hours and self.running else None


def _together(states: set[str]) -> str:
    for state in ("failed", "running"):
        if state in states:
            return state
    return states.pop() if len(states) == 1 else "partly"


def scan(results: Results, now: float | None = None) -> Status:
    """Return the state of every job of a study.

    A job is done if its output exists and is not older than its inputs. A job has failed if its log
    reports a failure. If the log has no last line, the job is running or has failed: it is running
    if its log or its lease has changed within :data:`PATIENCE_S`, and has failed otherwise. In all
    other cases a job is waiting, also after Ctrl-C.

    Args:
        results: The study, whose folder may be absent.
        now: The present time [s since the epoch], by default from the clock.

    Raises:
        PassbandError: If a file or folder cannot be read.
    """
    # This is done before files are listed. If Snakemake ends between both steps, its last files are
    # still listed.
    snakemake, since = _snakemake(results.folder)
    now = time.time() if now is None else now
    times = _times(results.folder)

    def as_job(task: Task, name: str) -> Job | None:
        made = min((times.get(output, 0.0) for output in task.outputs), default=0.0)
        signs = [times[path] for path in (task.log, _lease(task.log)) if path in times]
        lived = max(signs, default=None)
        valid = made if made and made >= task.after else None
        state, silent = _judge(name, results.path(task.log), valid, lived, now)
        if task.on_request and not made and state == "waiting":
            return None  # the job was not requested, was stopped, or its files were deleted
        return Job(
            task.stage,
            task.cells,
            task.networks,
            str(results.path(task.log)),
            state,
            (valid if state == "done" else lived) or 0.0,
            silent,
            task.needed,
            task.rule,
        )

    known = list(tasks(results.study, times))
    # Logs of other rules, such as the user's rules. A job of these rules counts if it runs or
    # failed. The job `preflight` does not count, because it prints its own results.
    logs = {task.log for task in known} | {layout.log(layout.JOB_NAMES["preflight"])}
    others = [
        Task(log.split("/")[1].removesuffix(".log"), log, needed=False, on_request=True)
        for log in sorted(times)
        if log.startswith(f"{layout.LOGS}/") and log.endswith(".log") and log not in logs
    ]
    jobs = [as_job(task, task.name) for task in known]
    jobs += [as_job(task, r"\S+") for task in others]
    return Status(results, tuple(filter(None, jobs)), now, snakemake, since)


def _lease(log: str) -> str:
    return log.removesuffix(".log") + LEASE


def _snakemake(results: Path) -> tuple[str, float]:
    """Return the values of :attr:`Status.snakemake` and :attr:`Status.since`."""
    folder = Path(os.path.abspath(results))
    root = folder.parent.parent
    for lock in (root / ".snakemake" / "locks").glob("*.output.lock"):
        with suppress(OSError), lock.open(encoding="utf-8") as file:
            if file.readline().startswith(f"{folder.relative_to(root)}/"):
                return ("running" if _processes(root) else "locked"), lock.stat().st_mtime
    return "", 0.0


def _processes(root: Path) -> bool:
    """Return whether a Snakemake that was started in the given folder runs on this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            named = any(word == b"snakemake" or word.endswith(b"/snakemake") for word in words)
            # The processes that Snakemake starts for its jobs have an option --mode.
            if named and b"--mode" not in words and (process / "cwd").samefile(root):
                return True
    return False


def _judge(
    stage: str, log: Path, made: float | None, lived: float | None, now: float
) -> tuple[str, bool]:
    """Return a job's state, and whether it failed without a message.

    Args:
        stage: A regular expression for the first word of the job's name.
        log: The job's log, which is read only if the times do not show the state.
        made, lived: When the job's output last changed, and when its log or lease last changed [s
            since the epoch].
        now: The present time [s since the epoch].
    """
    if lived is None or (made is not None and lived <= made + _MARGIN_S):
        return ("waiting" if made is None else "done"), False
    ended = log_lines.ended(tail(log), stage)
    if ended == "failed":
        return "failed", False
    if ended is not None:  # the log says "interrupted", or says "done" but the output is absent
        return ("waiting" if made is None else "done"), False
    return ("running", False) if now - lived < PATIENCE_S else ("failed", True)


def tail(log: str | Path, most: int = 8192) -> str:
    """Return the last whole lines of a log, at most `most` bytes; "" if the log is absent."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unreadable(log, error) from error
    return text if size <= most else text.partition("\n")[2]


def _times(results: Path) -> dict[str, float]:
    """Return when each file that shows a job's state last changed, by the file's path in `results`.

    Several folders are read at once, because a network file system needs long for each folder.
    """
    top, times = str(results), {}
    folders = [os.path.join(top, name) for name in layout.FOLDERS]
    with ThreadPoolExecutor(16) as pool:
        entries = _entries(top)
        while entries:
            times |= {os.path.relpath(path, top): when for path, when, _ in entries}
            entries = list(chain.from_iterable(pool.map(_entries, folders)))
            folders = [path for path, _, folder in entries if folder]
    return times


def _entries(folder: str) -> list[tuple[str, float, bool]]:
    """Return the path and time of change of each entry of a folder, and whether to list it too."""
    listed = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # A job may delete a file meanwhile. The file then counts as absent.
                with suppress(FileNotFoundError):
                    inside = entry.is_dir() and not entry.name.endswith(_WHOLE)
                    listed.append((entry.path, entry.stat().st_mtime, inside))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unreadable(folder, error) from error
    return listed


def _unreadable(path: str | Path, error: OSError) -> PassbandError:
    return PassbandError(
        f"{path}: cannot be read: {error.strerror}; a user who may read the results "
        "can print the status"
    )
