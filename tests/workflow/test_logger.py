"""Passband's logger for Snakemake, with Snakemake's events but without Snakemake."""

import logging
import os
import sys
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from workplace import SMALLEST

import snakemake_logger_plugin_passband
from passband.runs import display
from snakemake_logger_plugin_passband import LogHandler, LogHandlerSettings

ID = "df+0005.00_cs+0001.200_ap016.00_ds000200.00"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stop the clock that the logger and the display see, since a machine may be slow."""
    stopped = SimpleNamespace(time=lambda: 1.8e9)
    monkeypatch.setattr(snakemake_logger_plugin_passband, "time", stopped)
    monkeypatch.setattr(display, "time", stopped)


class Events:
    """Sends events to a handler as Snakemake does."""

    def __init__(self, dryrun=False, why=False):
        settings = LogHandlerSettings(why=why)
        self.handler = LogHandler(SimpleNamespace(dryrun=dryrun), settings)

    def send(self, event=None, message=None, level=logging.INFO, **values):
        record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
        vars(record).update(values, **({"event": event} if event else {}))
        self.handler.handle(record)

    def begin(self, config=SMALLEST, **stats):
        self.send(LogEvent.WORKFLOW_STARTED, configfiles=[config])
        self.send(LogEvent.RUN_INFO, stats=stats | {"total": sum(stats.values())})

    def start(self, id, rule, output=(), log=(), **wildcards):
        values = {"jobid": id, "rule_name": rule, "wildcards": wildcards}
        values["reason"] = "Forced execution"
        self.send(LogEvent.JOB_INFO, **values, output=list(output), log=list(log))

    def finish(self, id):
        self.send(LogEvent.JOB_FINISHED, job_id=id)

    def fail(self, id, rule, log=()):
        self.send(LogEvent.JOB_ERROR, level=logging.ERROR, jobid=id, rule_name=rule, log=list(log))


def test_snakemake_finds_the_logger():
    assert LoggerPluginRegistry().get_plugin("passband").log_handler is LogHandler


def test_a_run_that_succeeds_names_its_study_and_its_jobs(capsys, tmp_path):
    events, history = Events(), tmp_path / "a.csv"
    rows = ["0,0,0.5,0.2", "0,1,0.3,0.8", "0,2,0.4,0.9", "1,0,0.9,0.7"]
    history.write_text("\n".join(["replica,epoch,val_loss,val_dice", *rows, ""]))
    events.begin(all=1, train=1, figure_ctf=1)
    events.start(3, "train", [history], specimen="gold", condition=ID)
    events.finish(3)
    events.start(4, "figure_ctf")
    assert events.handler._run.dice == [0.8, 0.7]  # of the epoch with the least loss
    events.finish(4)
    events.start(0, "all")
    events.finish(0)
    events.handler.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["smallest: 2 jobs to run", "2 jobs are done after 0 s"]


def test_a_failure_is_shown_once_and_snakemakes_summary_is_not(capsys, tmp_path):
    events, log = Events(), tmp_path / "a.log"
    log.write_text(
        "08:00:00 started on vm, process 3\n08:00:01 error: train gold: the disk is full\n"
    )
    events.begin(train=2)
    events.start(3, "train", log=[log], specimen="gold", condition=ID)
    events.fail(3, "train", [log])
    events.send(message="Exiting because a job execution failed. Look below", level=logging.ERROR)
    events.send(LogEvent.ERROR, "At least one job did not complete successfully.", logging.ERROR)
    events.handler.close()
    printed = capsys.readouterr().err
    assert "failed after 0 s: train gold, 5 nm, 1.2 µm, 16 mrad, 200 e/Å²" in printed
    assert printed.count("the disk is full") == 1
    assert f"its log: {log}" in printed
    assert "Exiting" not in printed
    assert "At least" not in printed
    assert printed.splitlines()[-1] == "0 of 2 jobs are done after 0 s; 1 failed"


def test_a_stopped_job_is_no_failure(capsys, tmp_path):
    events, log = Events(), tmp_path / "a.log"
    log.write_text(
        "08:00:00 error: simulate gold: stopped by SIGINT; the next run makes its result\n"
    )
    events.begin(simulate=2)
    events.start(3, "simulate", log=[log])
    events.fail(3, "simulate", [log])
    killed = "RuleException:\nCalledProcessError in file simulate.smk, line 38:\nCommand 'a' "
    events.send(LogEvent.ERROR, f"{killed}died with <Signals.SIGINT: 2>.", logging.ERROR)
    events.send(message="Terminating processes on user request, this might take some time.")
    events.fail(4, "simulate")
    events.send(LogEvent.ERROR, f"{killed}returned non-zero exit status 1.", logging.ERROR)
    message = "WorkflowError:\nAt least one job did not complete successfully."
    events.send(LogEvent.ERROR, message, logging.ERROR)
    assert not events.handler._run.failed  # a bar names each stage with a failure
    events.handler.close()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "Stopping. Run the same command again to continue.",
        "0 of 2 jobs are done after 0 s; stopped",
    ]


def test_a_dry_run_lists_its_jobs_once(capsys):
    events = Events(dryrun=True)
    events.begin(train=4, figure_ctf=1, all=1)
    events.send(LogEvent.RUN_INFO, stats={"train": 4, "figure_ctf": 1, "all": 1, "total": 6})
    events.handler.close()
    out, err = capsys.readouterr()
    assert err == ""
    *rows, last = out.splitlines()
    assert [row.split() for row in rows] == [["train", "4"], ["figure_ctf", "1"], ["total", "5"]]
    assert last.startswith("These jobs would run; they need about ")


def test_a_dry_run_says_why_if_it_is_asked(capsys):
    words = ["Why they would run:", "  train: 2 jobs: an option forces it"]
    for why, said in ((True, words), (False, [])):
        events = Events(dryrun=True, why=why)
        events.begin(train=2, all=1)
        for id in (1, 2):
            events.start(id, "train", specimen="gold", condition=ID)
        events.start(0, "all")
        events.begin(train=2, all=1)  # Snakemake sends the numbers twice
        events.handler.close()
        out, err = capsys.readouterr()
        assert err == ""
        assert out.partition("one CPU core.\n")[2].split("\n")[1:-1] == said


def test_messages_that_matter_are_shown_and_others_are_not(capsys):
    events = Events()
    events.send(message="Building DAG of jobs...")
    events.send(message="Nothing to be done (all requested files are present and up to date).")
    events.send(LogEvent.ERROR, "LockException:\nDirectory cannot be locked.", logging.ERROR)
    events.handler.close()
    assert capsys.readouterr().err.splitlines() == [
        "Nothing to be done (all requested files are present and up to date).",
        "LockException:",
        "Directory cannot be locked.",
    ]


@pytest.mark.parametrize("content", ["unknown: 3\n", "- a list\n", "study: {name: [\n"])
def test_a_workflow_of_others_is_shown_too(tmp_path, capsys, content):
    config, events = tmp_path / "config.yaml", Events()
    config.write_text(content)
    events.begin(config, mine=1)
    events.start(1, "mine")
    events.finish(1)
    events.handler.close()
    assert capsys.readouterr().err.splitlines() == [
        "workflow: 1 job to run",
        "1 job is done after 0 s",
    ]


def test_an_error_of_the_display_is_one_line_and_ends_nothing(capsys, monkeypatch):
    events = Events()
    events.begin(train=2)
    monkeypatch.setattr(events.handler, "handleError", lambda record: None)
    for _ in range(3):
        events.send(LogEvent.JOB_INFO)  # an event without its values
    events.start(3, "train")
    events.finish(3)
    events.handler.close()
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "the display of the run failed" in line]) == 1
    assert said[-1] == "1 of 2 jobs are done after 0 s"


def test_standard_error_of_jobs_is_snakemakes_log_while_they_run(tmp_path, capfd):
    log = tmp_path / "snakemake.log"
    handler = logging.FileHandler(log)
    logger = logging.getLogger("snakemake.logging")
    logger.addHandler(handler)
    try:
        events = Events()
        events.begin(train=1)
        os.write(2, b"of a job\n")
        print("of Snakemake", file=sys.__stderr__, flush=True)
        events.start(3, "train")
        events.finish(3)
        events.handler.close()
        os.write(2, b"after the run\n")
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert "of a job\n" in log.read_text()
    assert "of Snakemake\n" in log.read_text()
    printed = capfd.readouterr().err.splitlines()
    assert printed == [
        "smallest: 1 job to run",
        f"Snakemake's messages are in {os.path.relpath(log)}",
        "1 job is done after 0 s",
        "after the run",
    ]
