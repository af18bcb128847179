"""The state of a study's jobs, which is read from the files of results.

This module needs neither Snakemake nor a terminal. :mod:`passband.runs.display` and
:mod:`passband.runs.status_page` draw a run.
"""

import math
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from passband import log_lines
from passband.network_id import NetworkId
from passband.results import Results, layout, listing
from passband.runs import rates, run_files
from passband.runs.outdated import Outdated
from passband.runs.study_jobs import Job, jobs, others

#: Rules that only list other rules' files. Their jobs do nothing and are not counted.
TARGETS = ("all", "gallery")
#: The rules whose jobs use the outputs of others, the last ones first.
_USERS = {
    "evaluate": ("aggregate",),
    "train": ("evaluate",),
    "simulate": ("train", "evaluate", "information"),
}
#: Seconds of a job whose rule has no estimate.
_OTHER_S = 10.0
#: The time of a rule's jobs is the mean of this number of jobs, the newest.
_TIMED = 20
#: At most this number of histories of trainings is read at a time. The newest are read first.
_READ = 500


class Run:
    """The state of a study's jobs, which :meth:`read` finds in the files of results.

    All jobs of the study count or, after :meth:`begin`, those of one run of Snakemake.

    Args:
        results: The study, whose folder may be absent.

    Attributes:
        jobs: All jobs of the complete study, and those jobs on request that were started.
        stages: These jobs by stage, in the order of the workflow.
        cells: State of the networks of each specimen, architecture and training condition. It is
            "failed" or "running" if one of their `train` and `evaluate` jobs has this state, "done"
            or "waiting" if all these jobs have this state, and otherwise "partly".
        now: When the files were read [s since the epoch].
        snakemake: "running" if Snakemake runs the study on this machine. "locked" if the study has
            a lock of Snakemake, but no Snakemake runs the study on this machine: Snakemake runs on
            another machine, or was killed. Otherwise "".
        since: When Snakemake locked the study [s since the epoch]; 0 if the study is not locked.
        started: When the run started [s since the epoch]; None if that is unknown.
        expected, done: The numbers of all jobs that count, and of those that are done, by rule.
        took: The sum of the times of the jobs that are done, by rule [s].
        earlier: The part of these times that is of jobs which were done before the run started [s].
        running, failed: The jobs that run, and those whose last attempt failed, by log.
        dice: Validation Dice of the trained networks.
    """

    def __init__(self, results: Results):
        self.results = results
        self.jobs: tuple[Job, ...] = ()
        self.stages: dict[str, list[Job]] = {}
        self.cells: dict[NetworkId, str] = {}
        self.now = 0.0
        self.snakemake = ""
        self.since = 0.0
        self.started: float | None = None
        self.expected: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.took: Counter[str] = Counter()
        self.earlier = 0.0
        self.running: dict[str, Job] = {}
        self.failed: dict[str, Job] = {}
        self.dice: list[float] = []
        self._shown = 0.0
        # The jobs of one run of Snakemake by rule, and when Snakemake said that a job had ended.
        self._planned: Counter[str] | None = None
        self._ended: dict[str, float] = {}
        # What was read from the files of a job, by its log and time.
        self._took: dict[tuple[str, float], float | None] = {}
        self._dice: dict[tuple[str, float], list[float]] = {}

    @property
    def name(self) -> str:
        """The study's name."""
        return self.results.study.study.name

    @cached_property
    def seconds(self) -> dict[str, float]:
        """The estimated seconds of one job of each rule.

        Only their ratios matter: as soon as jobs are done, their measured times correct them.
        """
        return rates.seconds(self.results.study)

    @cached_property
    def _outdated(self) -> Outdated:
        return Outdated(self.results)

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────

    def begin(self, jobs: Mapping[str, int], started: float) -> None:
        """Count only the jobs of a run of Snakemake that begins now: those whose log changes.

        Args:
            jobs: The numbers of jobs that Snakemake will run, by rule. :data:`TARGETS` are left
                out, and so are rules whose jobs have no log among the study's.
            started: The present time by the clock of the files [s since the epoch].
        """
        self.started = started
        self._planned = Counter({rule: n for rule, n in jobs.items() if rule not in TARGETS})
        self.expected = self._planned.copy()

    def job_failed(self, log: str) -> None:
        """Note that a job has failed whose log may not say so, since the job was killed."""
        self._ended[log] = max(run_files.lived(log), self.started or 0.0)

    def read(self, now: float | None = None, logs: bool = False) -> "Run":
        """Read the state of every job, see :func:`passband.runs.run_files.judge`, and return self.

        Args:
            now: The present time [s since the epoch], by default from the clock.
            logs: Whether to read also how long jobs took, since when they run, and the Dice, from
                logs and histories. Each is read once: what is read again is what is new.

        Raises:
            PassbandError: If a file or folder cannot be read.
        """
        folder = self.results.folder
        # This is done before files are listed. If Snakemake ends between both steps, its last files
        # are still listed.
        self.snakemake, self.since = run_files.snakemake(folder)
        self.now = time.time() if now is None else now
        times = listing.changes(folder)
        known = list(jobs(self.results.study, times, self._outdated.at(times)))
        known += others(times, known)
        self.jobs = tuple(job for job in known if self._judge(job, times))
        self.stages = _by("stage", self.jobs)
        states: dict[NetworkId, set[str]] = {}
        for job in self.jobs:
            for cell in job.cells:
                states.setdefault(cell, set()).add(job.state)
        self.cells = {cell: _together(of_jobs) for cell, of_jobs in states.items()}

        counted = [job for job in self.jobs if self._counts(job)]
        of_state = _by("state", counted)
        running = {job.log: job for job in of_state.get("running", ())}
        failed = {job.log: job for job in of_state.get("failed", ())}
        if self._planned is None:
            expected = Counter(job.rule for job in counted)
        else:
            rules = {job.rule for job in known}
            expected = Counter({rule: n for rule, n in self._planned.items() if rule in rules})
        done = _by("rule", of_state.get("done", ()))
        numbers = Counter({rule: len(of_rule) for rule, of_rule in done.items()})
        measured = self._measured(done, list(running.values())) if logs else {}
        # All at once, since a thread may draw the run while files are read.
        vars(self).update(measured, expected=expected, done=numbers, running=running, failed=failed)
        return self

    def _judge(self, job: Job, times: Mapping[str, float]) -> bool:
        return run_files.judge(
            job, self.results.folder, times=times, now=self.now, ended=self._ended
        )

    def _counts(self, job: Job) -> bool:
        """Return whether a job counts in the numbers of jobs."""
        if job.rule in TARGETS:
            return False
        if self._planned is None:
            return job.needed or job.state != "waiting"
        return job.lived >= self.started

    def _measured(
        self, done: Mapping[str, Sequence[Job]], running: Sequence[Job]
    ) -> dict[str, object]:
        """Return the attributes that follow from logs; note how far the running jobs are."""
        for job in running:
            run_files.read_log(job, self.now)
        started = self.started
        if self._planned is None:
            first = min((job.since for job in running), default=None)
            started = self.since or self.started or first
        took = Counter()
        earlier = 0.0
        for rule, of_rule in done.items():
            mean = self._mean(rule, of_rule)
            took[rule] = mean * len(of_rule)
            if started is not None:
                earlier += mean * sum(job.time < started for job in of_rule)
        dice = self._scores(done.get("train", ()))
        return {"started": started, "took": took, "earlier": earlier, "dice": dice}

    def _mean(self, rule: str, done: Iterable[Job]) -> float:
        """Return the mean time of finished jobs [s], with the time to start, or the estimate."""
        times = []
        for job in sorted(done, key=lambda job: -job.time)[:_TIMED]:
            key = job.log, job.time
            if key not in self._took:
                self._took[key] = log_lines.took(run_files.tail(job.log))
            if (took := self._took[key]) is not None:
                times.append(took)
        return statistics.mean(times) + rates.START_S if times else self.planned(rule)

    def _scores(self, trained: Iterable[Job]) -> list[float]:
        """Return the validation Dice of the trained networks whose histories were read so far."""
        done = {(job.log, job.time): job for job in trained}
        self._dice = {key: found for key, found in self._dice.items() if key in done}
        new = sorted(done.keys() - self._dice.keys(), key=lambda key: -key[1])
        for key in new[:_READ]:
            history = self.results.path(layout.HISTORY, **done[key].wildcards)
            self._dice[key] = run_files.validation_dice(history)
        return [score for found in self._dice.values() for score in found]

    @property
    def failures(self) -> list[Job]:
        """Failed jobs, the newest first."""
        return sorted(self.failed.values(), key=lambda job: -job.time)

    @property
    def complete(self) -> bool:
        """Whether all that the study needs is done, so that Snakemake has nothing to do.

        Outputs that somebody has deleted since, and that nothing needs any more, are not made
        again.
        """
        return all(
            job.state == "done" or (job.deleted and not job.is_asked_for)
            for job in self.jobs
            if job.needed
        )

    @property
    def left(self) -> int:
        """The number of jobs that a run would run now, with that of the explorer.

        Files that somebody has deleted are made again only for jobs that need them.
        """
        counted = [job for job in self.jobs if job.needed or job.rule == "explorer"]
        counted = [job for job in counted if job.state != "done"]
        left = Counter(job.rule for job in counted if job.is_asked_for or not job.deleted)
        for rule, users in _USERS.items():
            if any(left[user] for user in users):
                left[rule] += sum(job.deleted for job in counted if job.rule == rule)
        return left.total()

    @property
    def over(self) -> bool:
        """Whether no job will run until the user does something.

        This is true if no job runs now and the study is complete. It is also true if no job runs
        now, a job failed, and no Snakemake runs.
        """
        return not self.running and (self.complete or (bool(self.failed) and not self.snakemake))

    def networks(self, stage: str) -> tuple[int, int]:
        """Return the number of networks whose job of a stage is done, and of all networks.

        If the jobs of the stage have no networks, the jobs are counted.
        """
        numbers = Counter()
        for job in self.stages[stage]:
            numbers[job.state] += job.networks or 1
        return numbers["done"], numbers.total()

    def until(self, stage: str) -> float:
        """Return the end of the period in which a stage's rate is counted [s since the epoch].

        If jobs of the stage run or will run, the period ends now. Otherwise it ends when the
        stage's last job ended.
        """
        states = {job.state for job in self.stages[stage]}
        if "running" in states or (self.snakemake and "waiting" in states):
            return self.now
        ends = (job.time for job in self.stages[stage] if job.state == "done")
        return max(ends, default=self.now)

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

    # ── How far the run is ───────────────────────────────────────────────────────────────────────

    def seconds_of(self, rule: str) -> float:
        """Return the expected seconds of a job of a rule.

        This is the mean time of the rule's jobs that are done. If none is done, it is the estimate,
        times the ratio of the time of all jobs that are done to the estimate of their time.
        """
        done = self.done
        if done[rule]:
            return self.took[rule] / done[rule]
        planned = sum(number * self.planned(name) for name, number in done.items())
        whole = self.took.total()
        return self.planned(rule) * (whole / planned if planned and whole else 1.0)

    def planned(self, rule: str) -> float:
        """Return the estimated seconds of a job of a rule, before any job is done."""
        return self.seconds.get(rule, _OTHER_S)

    def _at_work(self) -> list[Job]:
        return [job for job in self.running.values() if job.rule in self.expected]

    def share(self, now: float) -> float:
        """Return the share of the work that is done, from 0 to 1; it never decreases.

        A running job counts by its epochs or, if it has none, by the time that it has run.
        """
        seconds = {rule: self.seconds_of(rule) for rule in self.expected}
        done = sum(self.done[rule] * each for rule, each in seconds.items())
        whole = sum(self.expected[rule] * each for rule, each in seconds.items())
        for job in self._at_work():
            done += self._share_of(job, now) * self.seconds_of(job.rule)
        if 0 < self.expected.total() == self.done.total():
            self._shown = 1.0
        elif whole > 0:
            self._shown = max(self._shown, min(done / whole, 0.99))
        return self._shown

    def _share_of(self, job: Job, now: float) -> float:
        """Return the share of a running job's work that is done: at most 95%, since it runs."""
        share = job.share
        if share is None:
            share = (now - job.since) / max(self.seconds_of(job.rule), 1e-9)
        return min(max(share, 0.0), 0.95)

    def seconds_left(self, now: float) -> float | None:
        """Return the expected seconds until all jobs are done; None before the first job is done.

        As many jobs are assumed to run at a time as ran on average so far.
        """
        if not self.done.total() or self.started is None or now <= self.started:
            return None
        running = self._at_work()
        # A job of an earlier run may still run.
        busy = self.took.total() - self.earlier
        busy += sum(max(now - max(job.since, self.started), 0.0) for job in running)
        together = max(busy / (now - self.started), 1.0)
        left = [(1 - self._share_of(job, now)) * self.seconds_of(job.rule) for job in running]
        waiting = self.expected.copy() - self.done.copy()
        waiting -= Counter(job.rule for job in [*running, *self.failed.values()])
        work = sum(left) + sum(n * self.seconds_of(rule) for rule, n in waiting.items())
        return max(work / together, max(left, default=0.0))


def _by(attribute: str, jobs: Iterable[Job]) -> dict[str, list[Job]]:
    """Return jobs by the value of an attribute."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(getattr(job, attribute), []).append(job)
    return groups


def _together(states: set[str]) -> str:
    for state in ("failed", "running"):
        if state in states:
            return state
    return states.pop() if len(states) == 1 else "partly"
