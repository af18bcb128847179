"""Passband's logger for Snakemake: ``snakemake --logger passband`` draws the run as one display.

Snakemake finds this package by its name, and imports it whenever it starts. So this module imports
what it needs for the display when a run begins.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

if TYPE_CHECKING:
    from passband.runs.run import Run
    from passband.runs.study_jobs import Job

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
    """Draws Snakemake's events as one display.

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
        self._run = self._display = self._out = self._reasons = None
        self._begun = self._stopping = self._broken = self._cluster = False

    def emit(self, record: logging.LogRecord) -> None:
        """Draw a record. An error in this method is reported and does not end the run."""
        try:
            self._emit(record, getattr(record, "event", None), time.time())
        except Exception as error:
            if not self._broken:
                self._broken = True
                print(f"the display of the run failed: {error!r}", file=self._out or sys.stderr)
            self.handleError(record)

    def close(self) -> None:
        """End the display, and give standard error back to this process."""
        if self._display is not None:
            self._display.stop("stopped" if self._stopping else "")
            self._display = None
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
            if not self.common_settings.dryrun:
                self._redirect()
            self._run = _run(record.configfiles)
        elif event == LogEvent.RESOURCES_INFO:
            self._cluster = self._cluster or hasattr(record, "nodes")
        elif event == LogEvent.RUN_INFO:
            if self._begun:  # Snakemake sends the numbers of a dry run twice
                return
            self._begun = True
            self._run.begin({r: int(n) for r, n in record.stats.items() if r != "total"}, now)
            self._list() if self.common_settings.dryrun else self._begin()
        elif event in (None, LogEvent.ERROR):
            self._message(record)
        elif self._reasons is not None:
            if event == LogEvent.JOB_INFO:
                self._reasons.add(_job(record, now), str(record.reason or ""))
        elif self._display is not None:
            if event == LogEvent.JOB_INFO:
                self._job_started(record, now)
            elif event == LogEvent.JOB_FINISHED:
                self._run.finish(str(record.job_id), now)
            elif event == LogEvent.JOB_ERROR:
                self._job_failed(record, now)
            self._display.update()

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

    def _begin(self) -> None:
        """Start the display."""
        from passband.runs.display import display

        shown = os.path.relpath(log) if (log := _logfile()) else ""
        self._display = display(self._out or sys.stderr, self._run, shown, self._cluster)
        self._display.start()

    def _list(self) -> None:
        """Print the jobs of a dry run."""
        from passband.words import duration

        run = self._run
        rows = {**run.expected, "total": run.expected.total()}
        width = max(map(len, rows))
        for rule, number in rows.items():
            print(f"{rule:<{width}}  {number:>8,}")
        if run.results is not None:
            whole = sum(number * run.planned(rule) for rule, number in run.expected.items())
            print(f"These jobs would run; they need about {duration(whole)} of one CPU core.")
        if getattr(self.settings, "why", False):
            from passband.runs.reasons import Reasons

            self._reasons = Reasons()

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
        if self._display is not None:
            for line in text.splitlines():
                self._display.say(line, "yellow")
        elif text:
            usual = sys.stdout if self.common_settings.dryrun else sys.stderr
            print(text, file=self._out or usual, flush=True)

    def _job_started(self, record: logging.LogRecord, now: float) -> None:
        self._run.start(str(record.jobid), _job(record, now))

    def _job_failed(self, record: logging.LogRecord, now: float) -> None:
        from passband import log_lines
        from passband.runs.run_files import tail

        id, log = str(record.jobid), _first(record.log)
        if self._stopping or log_lines.ended(tail(log), r"\S+") == "interrupted":
            self._run.running.pop(id, None)
        else:
            self._display.failure(self._run.fail(id, record.rule_name, log), now)


def _job(record: logging.LogRecord, now: float) -> "Job":
    """Return the job of an event that Snakemake sends when it starts, or would start, a job."""
    from passband.runs.study_jobs import Job

    outputs = [str(path) for path in record.output or ()]
    wildcards = dict(record.wildcards or {})
    return Job(record.rule_name, _first(record.log), wildcards, outputs, since=now)


def _logfile() -> str:
    """Return the path of Snakemake's log file, or "" if there is none."""
    handlers = logging.getLogger("snakemake.logging").handlers
    return next((h.baseFilename for h in handlers if isinstance(h, logging.FileHandler)), "")


def _run(files: Sequence[object]) -> "Run":
    """Return the run of a study, or that of a workflow which is not Passband's."""
    from passband.config import load
    from passband.errors import PassbandError
    from passband.results import Results
    from passband.results.locate import RESULTS
    from passband.runs.run import Run

    try:
        study = load(os.path.relpath(str(files[-1])))
    except (PassbandError, IndexError):
        return Run()
    return Run(Results(study, RESULTS / study.study.name))


def _first(paths: Sequence[object] | None) -> str:
    return str(paths[0]) if paths else ""
