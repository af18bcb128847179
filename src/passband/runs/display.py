"""Draws a run: a bar and the running jobs in a terminal, or now and then a line in a pipe.

Both displays show failures at once, with the last lines of the job's log. Names and log lines may
contain anything, so control characters are removed and nothing is read as markup.
"""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from operator import add
from typing import IO

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from passband.console import clean
from passband.runs.counts import GROWING
from passband.runs.job_states import Run
from passband.runs.run_files import read_log, tail
from passband.runs.study_jobs import Job
from passband.words import duration, number_of

#: Number of running jobs that a terminal shows, and number of the last lines of a failed job's log.
_SHOWN, _LAST_LINES = 6, 5
#: Number of failures that are shown at a time.
_FAILURES = 3
#: What is shown after the last lines of the log of a job that failed without a message.
_SILENT = "(the log ends here: the job was killed, or its node went down)"
#: In a pipe, a line is written after this share of the work, but not within the first time [s], and
#: at the first finished job after the second time [s].
_SHARE, _AT_LEAST_S, _AT_MOST_S = 0.1, 5.0, 1800.0
#: The stages of the display, in the workflow's order. Each other rule is its own stage.
_ANALYSIS = ("information", "aggregate", "ood", "prediction")
_STAGES = {rule: rule for rule in GROWING} | dict.fromkeys(_ANALYSIS, "analysis")
_STAGES["figure"] = "figures"


def display(file: IO[str], run: Run, log: str = "") -> "Display":
    """Return the display for a stream: `Bar` for a terminal, and `Lines` for a file or a pipe.

    Args:
        log: Path of Snakemake's log, or "".
    """
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    drawing = console.is_terminal and not console.is_dumb_terminal
    return (Bar if drawing else Lines)(console, run, log)


class Display:
    """What both displays have in common.

    Attributes:
        note: What to know while no job runs, or "".
    """

    def __init__(self, console: Console, run: Run, log: str = ""):
        self.console = console
        self.run = run
        self.log = log
        self.note = ""
        self._seen: set[tuple[str, float]] = set()

    def start(self, says: str = "") -> None:
        """Say what the run is going to do, or what `says` says."""
        self.say(says or f"{self.run.name}: {number_of(self.run.expected.total(), 'job')} to run")
        if self.log:
            self.say(f"Snakemake's messages are in {self.log}")

    def show_changes(self) -> None:
        """Show what has changed since the run was read before; failures that are new come first."""
        run = self.run
        new = [job for job in run.failures if (job.log, job.time) not in self._seen]
        self._seen |= {(job.log, job.time) for job in new}
        for job in reversed(new[:_FAILURES]):
            read_log(job, run.now)
            self.failure(job)
        if len(new) > _FAILURES:
            self.say(f"and {len(new) - _FAILURES:,} more failed before", "bold red")
        self.update()

    def update(self) -> None:
        """Show the changed progress."""

    def say(self, line: str, style: str = "") -> None:
        """Print a line above the display. A long line is not cut."""
        self.console.print(Text(clean(line), style=style), soft_wrap=True)

    def failure(self, job: Job) -> None:
        """Show a failed job, how long it ran and when it failed, as far as that is known."""
        ran = f" after {duration(job.time - job.since)}" if job.since else ""
        when = f" ({clock(job.time, time.time())})" if job.time else ""
        self.say(f"failed{ran}: {job.words}{when}", "bold red")
        for line in last_lines(job):
            self.say(line)
        if job.log:
            self.say(f"  its log: {job.log}")

    def stop(self, why: str = "") -> None:
        """Say how the run ended; `why` is the reason if it did not end by itself."""
        run = self.run
        after = ""
        if run.started is not None:
            after = f" after {duration(time.time() - run.started)}"
        done, total = run.done.total(), run.expected.total()
        jobs = f"{done:,} of {total:,} jobs are done{after}"
        if why:
            self.say(f"{jobs}; {why}", "yellow")
        elif run.failed:
            self.say(f"{jobs}; {len(run.failed):,} failed", "bold red")
        elif done == total:
            what = "1 job is" if total == 1 else f"{total:,} jobs are"
            self.say(f"{what} done{after}", "green")
        else:
            self.say(jobs, "yellow")


class Lines(Display):
    """Writes a line after each tenth of the work."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._share = 0.0
        self._when = time.time()
        self._noted = ""

    def update(self) -> None:
        run, now = self.run, time.time()
        if self.note != self._noted:
            self._noted = self.note
            if self.note:
                self.say(f"  {self.note}")
        share, since = run.share(now), now - self._when
        if share >= 1 or since < _AT_LEAST_S:
            return
        if share < self._share + _SHARE and since < _AT_MOST_S:
            return
        self._share, self._when = share - share % _SHARE, now
        words = ", ".join(counts(run, False)), _left(run, now)
        self.say(f"  {share:4.0%}  {'; '.join(filter(None, words))}")


class Bar(Display):
    """Draws a bar, the jobs of each stage, and the running jobs."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._over = False
        self._live = Live(
            console=self.console,
            get_renderable=self._draw,
            refresh_per_second=2,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self, says: str = "") -> None:
        super().start(says)
        self._live.start()

    def stop(self, why: str = "") -> None:
        self._over = True
        self._live.stop()
        super().stop(why)

    def _draw(self) -> RenderableType:
        run, now = self.run, time.time()
        lines: list[RenderableType] = [bar(run, now, self.console.width, run.name)]
        lines.append(Padding(Columns(map(Text, counts(run)), padding=(0, 3)), (0, 0, 0, 2)))
        if run.dice:
            lines.append(Text(f"  {dice(run.dice)}", no_wrap=True, overflow="ellipsis"))
        if not self._over:
            lines.append(self._running([*run.running.values()], now))
            if self.note:
                lines.append(Text(f"  {self.note}", style="yellow"))
        return Group(*lines)

    def _running(self, jobs: list[Job], now: float) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=8)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        for job in jobs[:_SHOWN]:
            far = "" if job.share is None else f"{job.share:.0%}  "
            words = f"{clean(job.host)}  {far}{duration(now - job.since)}"
            table.add_row("  runs", Text(clean(job.words)), Text(words), style="dim")
        more = len(jobs) - _SHOWN
        if more > 0:
            table.add_row("", f"and {more:,} more", "", style="dim")
        return table


def bar(run: Run, now: float, width: int, name: str = "") -> RenderableType:
    """Return the bar, with the share of the work that is done, the time since the start, and left.

    `width` is the number of columns of the terminal, and `name` comes before the bar.
    """
    share = run.share(now)
    times = "" if run.started is None else duration(now - run.started)
    row = [
        ProgressBar(
            total=1.0,
            completed=share,
            width=max(10, width // 2 - 8),
            complete_style="red" if run.failed else "green",
            finished_style="green",
        ),
        Text(f"{share:4.0%}", "bold"),
        Text("; ".join(filter(None, (times, _left(run, now)))), no_wrap=True),
    ]
    table = Table.grid(padding=(0, 1))
    table.add_row(*[Text(clean(name), "bold")] * bool(name), *row)
    return table


def counts(run: Run, all_stages: bool = True) -> list[str]:
    """Return the number of jobs of each stage that are done, such as ``train 3 of 16``.

    Args:
        all_stages: Whether to name also those stages that are complete, and those that have not
            begun.
    """
    failed = Counter(job.rule for job in run.failed.values())
    running = Counter(job.rule for job in run.running.values())
    stages = {stage: [0, 0, 0, 0] for stage in _STAGES.values()}
    for rule in run.expected:
        stage = _STAGES.get(rule, rule)
        numbers = (of[rule] for of in (run.done, run.expected, failed, running))
        stages[stage] = list(map(add, stages.get(stage, (0, 0, 0, 0)), numbers))
    return [
        f"{stage} {done:,} of {total:,}" + (f" ({failed:,} failed)" if failed else "")
        for stage, (done, total, failed, running) in stages.items()
        if total and (all_stages or failed or running or 0 < done < total)
    ]


def dice(values: Sequence[float]) -> str:
    """Return the Dice of networks in words."""
    if len(values) == 1:
        return f"Dice on validation images: {values[0]:.2f} (1 network)"
    return (
        f"Dice on validation images: {statistics.median(values):.2f}, from {min(values):.2f} to "
        f"{max(values):.2f} ({len(values):,} networks)"
    )


def _left(run: Run, now: float) -> str:
    left = run.seconds_left(now)
    ended = run.done.total() == run.expected.total()
    return "" if left is None or ended else f"{duration(left)} left"


def last_lines(job: Job) -> list[str]:
    """Return the last lines of a failed job's log, indented, and a remark if it ends there."""
    lines = tail(job.log).splitlines()[-_LAST_LINES:]
    return [f"    {clean(line)}" for line in [*lines, *[_SILENT] * job.silent]]


def clock(when: float, now: float) -> str:
    """Return the time of day in hours and minutes. The date is added if it is not today's."""
    there = time.localtime(when)
    today = there[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if today else "%a %d %b, %H:%M", there)
