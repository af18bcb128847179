"""Passband's logger for Snakemake: ``snakemake --logger passband`` draws the run as one display.

What is drawn is read from the files of results. Snakemake's events only say which jobs there are,
and that something has changed.

Snakemake finds this package by its name, and imports it whenever it starts. So this module imports
what it needs for the display when a run begins.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

if TYPE_CHECKING:
    from passband.runs.job_states import Run
    from passband.runs.reasons import Reasons
    from passband.runs.study_jobs import Job
    from passband.runs.watch import Watch

__all__ = ["LogHandler", "LogHandlerSettings"]

#: Beginnings of Snakemake's messages that repeat what the display shows.
_REPEATED = ("At least one job did not complete", "Exiting because a job execution failed")
#: The beginnings of Snakemake's messages after Ctrl-C, and if there is no job to run.
_STOPPING, _NOTHING = "Terminating processes on user request", "Nothing to be done"
#: Beginnings of Snakemake's messages about jobs that Ctrl-C has ended, and the signal's name, by
#: which a message is known that comes before that of Snakemake itself.
_STOPPED, _CTRL_C = ("RuleException", "WorkflowError"), "<Signals.SIGINT"


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The options of this logger."""

    why: bool = field(default=False, metadata={"help": "In a dry run, say why each job would run."})


class LogHandler(LogHandlerBase):
    """Draws a run of Snakemake as one display.

    Other output would disturb the display. So while jobs run, standard error of this process and of
    its jobs is Snakemake's log file. The display itself is drawn on the standard error that this
    process had before.
    """

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._run: Run | None = None
        self._watch: Watch | None = None
        self._reasons: Reasons | None = None
        self._out: IO[str] | None = None
        self._begun = False
        self._stopping = False
        self._broken = False

    def emit(self, record: logging.LogRecord) -> None:
        """Draw a record. An error in this method is reported and does not end the run."""
        try:
            self._emit(record, getattr(record, "event", None), time.time())
        except Exception as error:
            self._report(error)
            self.handleError(record)

    def _report(self, error: Exception) -> None:
        """Say once that something in this module failed."""
        if not self._broken:
            self._broken = True
            print(f"the display of the run failed: {error!r}", file=self._out or sys.stderr)

    def close(self) -> None:
        """End the display, and give standard error back to this process."""
        if self._watch is not None:
            self._watch.end("stopped" if self._stopping else "")
            self._watch = None
        if self._reasons is not None:
            self._explain()
        if self._out is not None:
            with suppress(OSError):
                sys.stderr.flush()
            os.dup2(self._out.fileno(), 2)
            self._out.close()
            self._out = None
        super().close()

    def _emit(self, record: logging.LogRecord, event: LogEvent | None, now: float) -> None:
        if event == LogEvent.WORKFLOW_STARTED:
            self._run = _run(record.configfiles)
            if self._run is not None and not self.common_settings.dryrun:
                self._redirect()
        elif event == LogEvent.RUN_INFO:
            if self._begun:  # Snakemake sends the numbers of a dry run twice
                return
            self._begun = True
            jobs = {rule: int(n) for rule, n in record.stats.items() if rule != "total"}
            self._list(jobs) if self.common_settings.dryrun else self._begin(jobs, now)
        elif event in (None, LogEvent.ERROR):
            self._message(record)
        elif self._reasons is not None:
            if event == LogEvent.JOB_INFO:
                self._reasons.add(_job(record), str(record.reason or ""))
        elif self._watch is not None:
            if event == LogEvent.JOB_ERROR:
                self._note_end(record)
            self._watch.changed()

    def _redirect(self) -> None:
        """Make Snakemake's log file the standard error, before the first job starts."""
        log = _logfile()
        if not log or self._out is not None:
            return
        from passband import console

        console.prepare()  # registers the error handler of the next line
        sys.stderr.flush()
        self._out = os.fdopen(
            os.dup(2), "w", encoding=sys.stderr.encoding, errors="passband-ascii", buffering=1
        )
        file = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, 2)
        os.close(file)

    def _begin(self, jobs: Mapping[str, int], now: float) -> None:
        """Start the display of a run with these numbers of jobs by rule."""
        if self._run is None:
            return
        from passband.runs.display import display
        from passband.runs.watch import Watch

        log = _logfile()
        # Its time is by the clock of the file system, as those of the jobs' logs.
        self._run.begin(jobs, os.stat(log).st_mtime if log else now)
        shown = os.path.relpath(log) if log else ""
        self._watch = Watch(display(self._out or sys.stderr, self._run, shown), self._report)

    def _list(self, jobs: Mapping[str, int]) -> None:
        """Print the jobs of a dry run."""
        from passband.runs.job_states import TARGETS
        from passband.words import duration

        rows = {rule: number for rule, number in jobs.items() if rule not in TARGETS}
        rows["total"] = sum(rows.values())
        width = max(map(len, rows))
        for rule, number in rows.items():
            print(f"{rule:<{width}}  {number:>8,}")
        if self._run is not None:
            whole = sum(n * self._run.planned(rule) for rule, n in rows.items() if rule != "total")
            print(f"These jobs would run; they need about {duration(whole)} of one CPU core.")
        if getattr(self.settings, "why", False):
            from passband.runs.reasons import Reasons

            self._reasons = Reasons(self._run and self._run.results)

    def _explain(self) -> None:
        """Print why the jobs of a dry run would run."""
        from passband.console import escaped

        reasons, self._reasons = self._reasons, None
        print("\nWhy they would run:")
        for line in reasons.lines():
            print(f"  {escaped(line)}")

    def _message(self, record: logging.LogRecord) -> None:
        """Show what a user must know; all messages are in Snakemake's log file."""
        text = str(record.msg or "").strip()
        if text.startswith(_STOPPING):
            self._stopping = True
            text = "Stopping. Run the same command again to continue."
        elif (
            text.startswith(_REPEATED)
            or (text.startswith(_STOPPED) and (self._stopping or _CTRL_C in text))
            or (record.levelno < logging.WARNING and not text.startswith(_NOTHING))
        ):
            return
        if self._watch is not None:
            for line in text.splitlines():
                self._watch.display.say(line, "yellow")
        elif text:
            usual = sys.stdout if self.common_settings.dryrun else sys.stderr
            print(text, file=self._out or usual, flush=True)

    def _note_end(self, record: logging.LogRecord) -> None:
        """Note that a job has ended, if neither its log says so nor a user stopped it."""
        from passband import log_lines
        from passband.runs.run_files import tail

        log = _first(record.log)
        if not self._stopping and log_lines.ended(tail(log), r"\S+") != "interrupted":
            self._run.job_failed(log)


def _job(record: logging.LogRecord) -> "Job":
    """Return the job of an event that Snakemake sends when it would start a job."""
    from passband.runs.study_jobs import Job

    outputs = [str(path) for path in record.output or ()]
    return Job(record.rule_name, _first(record.log), dict(record.wildcards or {}), outputs)


def _logfile() -> str:
    """Return the path of Snakemake's log file, or "" if there is none."""
    handlers = logging.getLogger("snakemake.logging").handlers
    return next((h.baseFilename for h in handlers if isinstance(h, logging.FileHandler)), "")


def _run(files: Sequence[object]) -> "Run | None":
    """Return the run of a study; None if the workflow is not Passband's, or its study is wrong."""
    from passband.config import load
    from passband.errors import PassbandError
    from passband.results import Results
    from passband.results.locate import RESULTS
    from passband.runs.job_states import Run

    try:
        study = load(os.path.relpath(str(files[-1])))
    except (PassbandError, IndexError):
        return None
    return Run(Results(study, RESULTS / study.study.name))


def _first(paths: Sequence[object] | None) -> str:
    return str(paths[0]) if paths else ""
