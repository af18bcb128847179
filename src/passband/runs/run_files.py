"""How far a run is that another process started, from the files in the study's folder of results.

:class:`passband.runs.progress.Progress` needs the times of jobs, and the Dice of networks. Both are
in files, which are read once: a status that is drawn again reads only what is new.
"""

import os
import statistics
from collections.abc import Iterable
from pathlib import Path

from passband import log_lines
from passband.config import Study
from passband.results import Results, layout
from passband.runs import rates
from passband.runs.progress import TARGETS, OfRule, Progress, Running, describe, validation_dice
from passband.runs.status import Job, Status, tail

#: The time of a rule's jobs is the mean of this number of jobs, the newest.
_TIMED = 20
#: At most this number of histories of trainings is read at a time. The newest are read first.
_READ = 500
#: A running job's log is read up to this size [bytes].
_LOG_BYTES = 1 << 20


class Followed:
    """The progress of a run that another process started.

    Attributes:
        progress: All jobs of the study, the finished ones included.
    """

    def __init__(self, study: Study):
        self.progress = Progress(rates.seconds(study), None)
        self._took: dict[tuple[str, float], float | None] = {}
        self._dice: dict[tuple[str, float], list[float]] = {}
        self._failures: set[tuple[str, float]] = set()

    def update(self, status: Status) -> list[Job]:
        """Read a status into :attr:`progress`; return the newly failed jobs, the newest first."""
        progress, jobs = self.progress, _by_rule(status)
        progress.running = {
            job.log: Running(rule, in_words(job, status.results), job.log, _since(job, status.now))
            for rule, of_rule in jobs.items()
            for job in of_rule
            if job.state == "running"
        }
        if status.since:
            progress.started = status.since
        elif progress.running and progress.started is None:
            progress.started = min(job.since for job in progress.running.values())
        rules, progress.earlier = {}, 0.0
        for rule, of_rule in jobs.items():
            done = [job for job in of_rule if job.state == "done"]
            mean = self._mean(done)
            if mean is None:  # no log says how long a job took
                mean = progress.planned(rule)
            if progress.started is not None:
                progress.earlier += mean * sum(job.time < progress.started for job in done)
            failed = {job.log for job in of_rule if job.state == "failed"}
            rules[rule] = OfRule(len(of_rule), len(done), failed, mean * len(done))
        progress.rules = rules
        progress.dice = self._scores(jobs.get("train", ()), status.results)
        new = [job for job in status.failures if (job.log, job.time) not in self._failures]
        self._failures |= {(job.log, job.time) for job in new}
        return new

    def _mean(self, done: Iterable[Job]) -> float | None:
        """Return the mean time of finished jobs [s], with the time to start; None if unknown."""
        times = []
        for job in sorted(done, key=lambda job: -job.time)[:_TIMED]:
            key = job.log, job.time
            if key not in self._took:
                self._took[key] = log_lines.took(tail(job.log))
            if (took := self._took[key]) is not None:
                times.append(took)
        return statistics.mean(times) + rates.START_S if times else None

    def _scores(self, jobs: Iterable[Job], results: Results) -> list[float]:
        """Return the validation Dice of the trained networks whose histories were read so far."""
        done = {(job.log, job.time): job for job in jobs if job.state == "done"}
        self._dice = {key: found for key, found in self._dice.items() if key in done}
        new = sorted(done.keys() - self._dice.keys(), key=lambda key: -key[1])
        for key in new[:_READ]:
            history = results.path(layout.HISTORY, **layout.wildcards_of(done[key].log))
            self._dice[key] = validation_dice(history)
        return [score for found in self._dice.values() for score in found]


def _by_rule(status: Status) -> dict[str, list[Job]]:
    """Return the jobs by rule. A job that the study does not need counts if it was started."""
    rules: dict[str, list[Job]] = {}
    for job in status.jobs:
        if job.rule not in TARGETS and (job.needed or job.state != "waiting"):
            rules.setdefault(job.rule, []).append(job)
    return rules


def in_words(job: Job, results: Results) -> str:
    """Return a job of the study in words."""
    if job.cells:
        return describe(job.rule, layout.wildcards_of(job.log))
    if job.stage == "figures":
        return describe(job.rule, {})
    log = Path(job.log).relative_to(results.path(layout.LOGS)).with_suffix("")
    return describe(job.rule, {str(place): part for place, part in enumerate(log.parts[1:])})


def _since(job: Job, now: float) -> float:
    """Return when a running job was started [s since the epoch].

    The log's times may be those of a machine whose clock or time zone differs. So only differences
    of these times are used, and when the log was written last.
    """
    _, span = log_lines.attempt(tail(job.log, _LOG_BYTES))
    try:
        return os.stat(job.log).st_mtime - span
    except OSError:  # the job has only a lease so far
        return min(job.time, now)
