"""How far a run of the workflow is: its jobs, the share of its work that is done, and time left.

The jobs of a run are known by their numbers and rules, as Snakemake reports them. This module needs
neither Snakemake nor a terminal. :mod:`passband.runs.progress_display` draws a run.
"""

import csv
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from passband.axes import AXES, MAIN_AXES
from passband.grid import Condition

#: Rules that only list other rules' files. Their jobs do nothing and are not counted.
TARGETS = ("all", "gallery")

#: Seconds of a job whose rule has no estimate.
_OTHER_S = 10.0


@dataclass(frozen=True)
class Running:
    """A job that was started or submitted.

    Attributes:
        name: The job in words, see :func:`describe`.
        log: Path of the job's log, or "".
        since: When the job was started [s since the epoch].
    """

    rule: str
    name: str
    log: str
    since: float


@dataclass
class OfRule:
    """The jobs of a rule.

    Attributes:
        total, done: Number of the jobs of the run, and of those that are done.
        failed: Numbers of those jobs whose last attempt failed.
        took: Sum of the times of the jobs that are done [s].
    """

    total: int = 0
    done: int = 0
    failed: set[str] = field(default_factory=set)
    took: float = 0.0


class Progress:
    """The state of a run.

    Args:
        seconds: The estimated seconds of one job of each rule, see
            :func:`passband.runs.rates.seconds`. Only their ratios matter: as soon as jobs
            are done, their measured times correct the estimates.
        started: When the run started [s since the epoch]; None if that is unknown.

    Attributes:
        rules: The jobs by rule.
        running: The jobs that run or are submitted, by their numbers, the oldest first.
        dice: Validation Dice of the networks that this run has trained.
        earlier: The time of those jobs that were done before the run started, and that are counted
            in `rules` [s].
    """

    def __init__(self, seconds: Mapping[str, float], started: float | None):
        self._seconds, self.started = seconds, started
        self.rules: dict[str, OfRule] = {}
        self.running: dict[str, Running] = {}
        self.dice: list[float] = []
        self.earlier = 0.0
        self._shown = 0.0

    def expect(self, jobs: Mapping[str, int]) -> None:
        """Set how many jobs of each rule the run has. Jobs of `TARGETS` are left out."""
        for rule, number in jobs.items():
            if rule not in TARGETS:
                self.rules.setdefault(rule, OfRule()).total = number

    def start(self, id: str, job: Running) -> None:
        """Note that a job was started. A job that failed before is tried again."""
        if job.rule in TARGETS:
            return
        of_rule = self.rules.setdefault(job.rule, OfRule())
        of_rule.failed.discard(id)
        self.running[id] = job

    def finish(self, id: str, now: float) -> Running | None:
        """Note that a job is done, and return the job; None if it was not started."""
        job = self.running.pop(id, None)
        if job is not None:
            of_rule = self.rules[job.rule]
            of_rule.done += 1
            of_rule.took += max(now - job.since, 0.0)
        return job

    def fail(self, id: str, rule: str) -> Running | None:
        """Note that an attempt to run a job failed, and return the job; None if it is unknown."""
        job = self.running.pop(id, None)
        if rule not in TARGETS:
            self.rules.setdefault(rule, OfRule()).failed.add(id)
        return job

    @property
    def total(self) -> int:
        """Number of the run's jobs."""
        return sum(of_rule.total for of_rule in self.rules.values())

    @property
    def done(self) -> int:
        """Number of jobs that are done."""
        return sum(of_rule.done for of_rule in self.rules.values())

    @property
    def failed(self) -> int:
        """Number of jobs whose last attempt failed."""
        return sum(len(of_rule.failed) for of_rule in self.rules.values())

    def seconds_of(self, rule: str) -> float:
        """Return the expected seconds of a job of a rule.

        This is the mean of those jobs of the rule that are done. Without such a job, this is the
        rule's estimate, times the ratio of measured and estimated times of all jobs that are done.
        """
        of_rule = self.rules.get(rule)
        if of_rule is not None and of_rule.done:
            return of_rule.took / of_rule.done
        took = sum(r.took for r in self.rules.values())
        planned = sum(r.done * self.planned(name) for name, r in self.rules.items())
        return self.planned(rule) * (took / planned if planned and took else 1.0)

    def planned(self, rule: str) -> float:
        """Return the estimated seconds of a job of a rule, before any job is done."""
        return self._seconds.get(rule, _OTHER_S)

    def share(self, now: float) -> float:
        """Return the share of the work that is done, from 0 to 1; it never decreases.

        A running job counts by the time that it has run, but at most 95% of its expected time.
        """
        done = sum(r.done * self.seconds_of(name) for name, r in self.rules.items())
        whole = sum(r.total * self.seconds_of(name) for name, r in self.rules.items())
        for job in self.running.values():
            expected = self.seconds_of(job.rule)
            done += min(max(now - job.since, 0.0), 0.95 * expected)
        if self.total and self.done == self.total:
            self._shown = 1.0
        elif whole > 0:
            self._shown = max(self._shown, min(done / whole, 0.99))
        return self._shown

    def seconds_left(self, now: float) -> float | None:
        """Return the expected seconds until all jobs are done; None before the first job is done.

        As many jobs are assumed to run at a time as ran on average so far.
        """
        if not self.done or self.started is None or now <= self.started:
            return None
        busy = sum(r.took for r in self.rules.values()) - self.earlier
        # A job of an earlier run may still run.
        busy += sum(max(now - max(job.since, self.started), 0.0) for job in self.running.values())
        together = max(busy / (now - self.started), 1.0)
        jobs = self.running.values()
        left = [max(self.seconds_of(job.rule) - (now - job.since), 0.0) for job in jobs]
        work, at_work = sum(left), Counter(job.rule for job in jobs)
        for name, r in self.rules.items():
            waiting = r.total - r.done - len(r.failed) - at_work[name]
            work += max(waiting, 0) * self.seconds_of(name)
        return max(work / together, max(left, default=0.0))


def describe(rule: str, wildcards: Mapping[str, str]) -> str:
    """Return a job in words, such as ``train gold compact-w8-d3, 5 nm, 1.2 µm, 10 mrad, 50 e/Å²``.

    Args:
        wildcards: The values of the job's wildcards. A condition's id is written with its units.
    """
    words, condition = [rule.replace("figure_", "figure ")], ""
    for name, value in wildcards.items():
        if name == "condition":
            first, *others = value.split("~")  # the name of a group, see passband.groups
            try:
                c = Condition.parse(first)
            except ValueError:
                words.append(value)
                continue
            # The unit shows which of the main axes a number belongs to. A further axis is there
            # only if its value differs from the study's own.
            values = [
                ("" if axis in MAIN_AXES else f"{AXES[axis].label} ") + AXES[axis].words(f"{x:g}")
                for axis, x in c.values().items()
            ]
            condition = f", {', '.join(values)}{' and others' if others else ''}"
        elif value and (name != "batch" or value != "r000-000"):
            words.append(value.rstrip("/"))  # the folder of a set of exit waves ends with a slash
    return " ".join(words) + condition


def validation_dice(history: str | Path) -> list[float]:
    """Return each network's validation Dice in its best epoch, from the history of a training.

    The list is empty if the file cannot be read or is no history.
    """
    best: dict[tuple[str, str], tuple[float, float]] = {}
    with suppress(OSError, KeyError, ValueError), open(history, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = float(row["val_loss"]), float(row["val_dice"])
            network = row.get("condition", ""), row["replica"]  # several conditions: a column
            best[network] = min(best.get(network, found), found)
    return [score for _, score in best.values()]
