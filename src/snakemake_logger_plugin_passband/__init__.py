"""Passband's logger for Snakemake: ``snakemake --logger passband`` draws the run as one display.

Snakemake finds this package by its name, and imports it whenever it starts. So this module imports
what it needs for the display when a run begins.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

__all__ = ["LogHandler"]

#: Beginnings of Snakemake's messages that repeat what the display shows.
_REPEATED = ("At least one job did not complete", "Exiting because a job execution failed")
#: The beginnings of Snakemake's messages after Ctrl-C, and if there is no job to run.
_STOPPING, _NOTHING = "Terminating processes on user request", "Nothing to be done"
#: Beginnings of Snakemake's messages about jobs that Ctrl-C has ended, and the signal's name, by
#: which a message is known that comes before that of Snakemake itself.
_STOPPED, _CTRL_C = ("RuleException", "WorkflowError"), "<Signals.SIGINT"


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
        self._display = self._out = None
        self._study, self._seconds = "workflow", {}
        self._outputs: dict[object, list[str]] = {}
        self._listed = self._stopping = self._broken = self._cluster = False

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
            self._study, self._seconds = _study(record.configfiles)
        elif event == LogEvent.RESOURCES_INFO:
            self._cluster = self._cluster or hasattr(record, "nodes")
        elif event == LogEvent.RUN_INFO:
            jobs = {rule: int(n) for rule, n in record.stats.items() if rule != "total"}
            if self.common_settings.dryrun:
                self._list(jobs)
            elif self._display is None:
                self._begin(jobs, now)
        elif event in (None, LogEvent.ERROR):
            self._message(record)
        elif self._display is not None:
            if event == LogEvent.JOB_INFO:
                self._job_started(record, now)
            elif event == LogEvent.JOB_FINISHED:
                self._job_finished(record, now)
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

    def _begin(self, jobs: Mapping[str, int], now: float) -> None:
        """Start the display."""
        from passband.runs.progress import Progress
        from passband.runs.progress_display import display

        progress, log = Progress(self._seconds, now), _logfile()
        progress.expect(jobs)
        shown = os.path.relpath(log) if log else ""
        self._display = display(
            self._out or sys.stderr, progress, self._study, shown, self._cluster
        )
        self._display.start()

    def _list(self, jobs: Mapping[str, int]) -> None:
        """Print the jobs of a dry run. Snakemake sends their numbers twice."""
        from passband.runs.progress import TARGETS
        from passband.words import duration

        if self._listed:
            return
        self._listed = True
        jobs = {rule: number for rule, number in jobs.items() if rule not in TARGETS}
        rows = {**jobs, "total": sum(jobs.values())}
        width = max(map(len, rows))
        for rule, number in rows.items():
            print(f"{rule:<{width}}  {number:>8,}")
        if self._seconds:
            whole = sum(number * self._seconds.get(rule, 10.0) for rule, number in jobs.items())
            print(f"These jobs would run; they need about {duration(whole)} of one CPU core.")

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
        from passband.runs.progress import Running, describe

        name = describe(record.rule_name, dict(record.wildcards or {}))
        self._outputs[record.jobid] = [str(path) for path in record.output or ()]
        job = Running(record.rule_name, name, _first(record.log), now)
        self._display.progress.start(str(record.jobid), job)

    def _job_finished(self, record: logging.LogRecord, now: float) -> None:
        from passband.runs.progress import validation_dice

        progress = self._display.progress
        job = progress.finish(str(record.job_id), now)
        outputs = self._outputs.pop(record.job_id, ())
        if job is not None and job.rule == "train":
            for path in outputs:
                if path.endswith(".csv"):
                    progress.dice += validation_dice(path)

    def _job_failed(self, record: logging.LogRecord, now: float) -> None:
        from passband import log_lines
        from passband.runs.status import tail

        log, progress = _first(record.log), self._display.progress
        if self._stopping or (log and log_lines.ended(tail(log), r"\S+") == "interrupted"):
            progress.running.pop(str(record.jobid), None)
            return
        job = progress.fail(str(record.jobid), record.rule_name)
        name = job.name if job else record.rule_name
        self._display.failure(name, log, now - job.since if job else None)


def _logfile() -> str:
    """Return the path of Snakemake's log file, or "" if there is none."""
    handlers = logging.getLogger("snakemake.logging").handlers
    return next((h.baseFilename for h in handlers if isinstance(h, logging.FileHandler)), "")


def _study(files: Sequence[object]) -> tuple[str, dict[str, float]]:
    """Return a study's name, and the expected seconds of a job of each of its rules.

    If a workflow is not Passband's, the name is a general one, and there are no expected seconds.
    """
    from passband import PassbandError
    from passband.config import load
    from passband.runs import rates

    try:
        study = load(os.path.relpath(str(files[-1])))
        return study.study.name, rates.seconds(study)
    except (PassbandError, IndexError):
        return "workflow", {}


def _first(paths: Sequence[object] | None) -> str:
    return str(paths[0]) if paths else ""
