"""Passband's logger for Snakemake, with Snakemake's events but without Snakemake."""

import logging
import os
import re
import sys
import time
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from workplace import SMALLEST

import snakemake_logger_plugin_passband
from passband.config import load
from passband.runs import display, job_states, watch
from snakemake_logger_plugin_passband import LogHandler, LogHandlerSettings

ID = "df+0005.00_cs+0001.200_ap016.00_ds000200.00"
#: The time of the clock that the logger and the display see [s].
NOW = 1.8e9
RESULTS = "results/smallest"
WEIGHTS = f"{RESULTS}/networks/gold/compact-w4-d2/{ID}/r000-001.safetensors"
LOG = f"{RESULTS}/logs/train/gold/compact-w4-d2/{ID}/r000-001.log"
STARTED = "08:00:00 started on vm, process 3\n"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stop the clock that the logger and the display see, since a machine may be slow."""
    stopped = SimpleNamespace(time=lambda: NOW, localtime=time.localtime, strftime=time.strftime)
    for module in (snakemake_logger_plugin_passband, display, job_states):
        monkeypatch.setattr(module, "time", stopped)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder, name, text="", age=0.0):
    """Write a file of the results as a job does."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))


def put_waves(folder):
    """Write the exit waves of the study, which are older than the run."""
    for split in ("train/00000", "train/00001", "val/00000", "test/00000"):
        put(folder, f"{RESULTS}/waves/gold/{split}.zarr.zip", age=100)


def train(folder):
    """Write what a training makes."""
    put(folder, WEIGHTS)
    rows = ["0,0,0.5,0.2", "0,1,0.3,0.8", "0,2,0.4,0.9", "1,0,0.9,0.7"]
    history = "\n".join(["replica,epoch,val_loss,val_dice", *rows, ""])
    put(folder, WEIGHTS.replace(".safetensors", ".csv"), history)
    put(folder, LOG, f"{STARTED}08:00:03 train gold: 2 network(s) in x in 3.0 s\n")


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


def test_a_run_that_succeeds_names_its_study_and_its_jobs(capsys, folder):
    events = Events()
    put_waves(folder)
    events.begin(all=1, train=1, figure=1)
    events.start(3, "train", [WEIGHTS], [LOG], specimen="gold", condition=ID)
    train(folder)
    events.finish(3)
    log = f"{RESULTS}/logs/figures/ctf.log"
    events.start(4, "figure", log=[log])
    put(folder, log, f"{STARTED}08:00:01 figure ctf: a figure in x in 1.0 s\n")
    for kind in load(SMALLEST).figures.formats:
        put(folder, f"{RESULTS}/figures/ctf.{kind}")
    events.finish(4)
    events.start(0, "all")
    events.finish(0)
    events.handler.close()
    assert events.handler._run.dice == [0.8, 0.7]  # of the epoch with the least loss
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["smallest: 2 jobs to run", "2 jobs are done after 0 s"]


def test_what_was_done_before_the_run_does_not_count(capsys, folder):
    events = Events()
    put_waves(folder)
    for of in (WEIGHTS, LOG):
        put(folder, of, f"{STARTED}08:00:03 train gold: 2 network(s) in x in 3.0 s\n", age=50)
    other = LOG.replace("df+0005", "df+0020")
    put(folder, other, f"{STARTED}08:00:01 error: train gold: no\n", age=50)
    events.begin(train=1, mine=3)  # a rule whose jobs have no log among the study's
    events.handler.close()
    assert capsys.readouterr().err.splitlines()[1:] == ["0 of 1 jobs are done after 0 s"]
    assert not events.handler._run.dice
    assert not events.handler._run.failed


@pytest.mark.timeout(60)
def test_a_run_is_read_again_when_something_has_changed(monkeypatch, folder):
    monkeypatch.setattr(watch, "_AT_LEAST_S", 0.001)
    events = Events()
    put_waves(folder)
    events.begin(train=1)
    train(folder)
    events.finish(3)
    while not events.handler._run.done["train"]:
        time.sleep(0.01)
    events.handler.close()


def test_a_failure_is_shown_once_and_snakemakes_summary_is_not(capsys, folder):
    events = Events()
    put_waves(folder)
    events.begin(train=2)
    events.start(3, "train", [WEIGHTS], [LOG], specimen="gold", condition=ID)
    put(folder, LOG, f"{STARTED}08:00:01 error: train gold: the disk is full\n")
    events.fail(3, "train", [LOG])
    events.send(message="Exiting because a job execution failed. Look below", level=logging.ERROR)
    events.send(LogEvent.ERROR, "At least one job did not complete successfully.", logging.ERROR)
    events.handler.close()
    printed = capsys.readouterr().err
    words = r"failed after 1 s: train gold compact-w4-d2 r000-001, 5 nm, 1.2 µm, 16 mrad, 200 e/Å²"
    assert re.search(words, printed)
    assert printed.count("the disk is full") == 1
    assert f"its log: {LOG}" in printed
    assert "Exiting" not in printed
    assert "At least" not in printed
    assert printed.splitlines()[-1] == "0 of 2 jobs are done after 0 s; 1 failed"


@pytest.mark.parametrize(
    "text", [None, STARTED, f"{STARTED}08:00:03 train gold: x in y in 3.0 s\n"]
)
def test_a_job_that_was_killed_has_failed_at_once(capsys, folder, text):
    """Its log has no last line, or that of an attempt before, or is absent."""
    events = Events()
    put_waves(folder)
    events.begin(train=1)
    if text is not None:
        put(folder, LOG, text, age=0 if text == STARTED else 50)
    events.fail(3, "train", [LOG])
    events.handler.close()
    printed = capsys.readouterr().err
    assert "failed" in printed
    assert ("the job was killed" in printed) == (text in (None, STARTED))
    assert printed.splitlines()[-1] == "0 of 1 jobs are done after 0 s; 1 failed"


def test_a_job_that_is_tried_again_has_not_failed(capsys, folder):
    events = Events()
    put_waves(folder)
    events.begin(train=1)
    put(folder, LOG, STARTED)
    events.fail(3, "train", [LOG])
    put(folder, LOG, STARTED, age=-1)
    assert [*events.handler._run.read(NOW + 2).running] == [LOG]
    events.handler.close()
    assert capsys.readouterr().err.splitlines()[-1] == "0 of 1 jobs are done after 0 s"


def test_a_stopped_job_is_no_failure(capsys, folder):
    events = Events()
    log = f"{RESULTS}/logs/simulate/gold/test/00000.log"
    events.begin(simulate=2)
    put(folder, log, f"{STARTED}08:00:00 error: simulate gold: stopped by SIGINT; the next run\n")
    events.fail(3, "simulate", [log])
    killed = "RuleException:\nCalledProcessError in file simulate.smk, line 38:\nCommand 'a' "
    events.send(LogEvent.ERROR, f"{killed}died with <Signals.SIGINT: 2>.", logging.ERROR)
    events.send(message="Terminating processes on user request, this might take some time.")
    events.fail(4, "simulate", [log.replace("test", "val")])
    events.send(LogEvent.ERROR, f"{killed}returned non-zero exit status 1.", logging.ERROR)
    message = "WorkflowError:\nAt least one job did not complete successfully."
    events.send(LogEvent.ERROR, message, logging.ERROR)
    events.handler.close()
    assert not events.handler._run.failed
    assert capsys.readouterr().err.splitlines()[1:] == [
        "Stopping. Run the same command again to continue.",
        "0 of 2 jobs are done after 0 s; stopped",
    ]


def test_a_dry_run_lists_its_jobs_once(capsys):
    events = Events(dryrun=True)
    events.begin(train=4, figure=1, all=1)
    events.send(LogEvent.RUN_INFO, stats={"train": 4, "figure": 1, "all": 1, "total": 6})
    events.handler.close()
    out, err = capsys.readouterr()
    assert err == ""
    *rows, last = out.splitlines()
    assert [row.split() for row in rows] == [["train", "4"], ["figure", "1"], ["total", "5"]]
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
def test_a_workflow_of_others_has_no_display_and_its_messages(tmp_path, capsys, content):
    config = tmp_path / "config.yaml"
    config.write_text(content)
    events = Events()
    events.begin(config, mine=1)
    events.start(1, "mine")
    events.send(message="a warning", level=logging.WARNING)
    events.fail(1, "mine")
    events.handler.close()
    assert capsys.readouterr().err == "a warning\n"


def test_an_error_of_the_display_is_one_line_and_ends_nothing(capsys, monkeypatch, folder):
    monkeypatch.setattr(watch, "_AT_LEAST_S", 0.0)
    events = Events()
    put_waves(folder)
    train(folder)
    events.begin(train=2)
    monkeypatch.setattr(events.handler, "handleError", lambda record: None)
    for _ in range(3):
        events.send(LogEvent.JOB_ERROR)  # an event without its values
    events.handler.close()
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "the display of the run failed" in line]) == 1
    assert said[-1] == "1 of 2 jobs are done after 0 s"


def test_standard_error_of_jobs_is_snakemakes_log_while_they_run(folder, capfd):
    log = folder / "snakemake.log"
    handler = logging.FileHandler(log)
    logger = logging.getLogger("snakemake.logging")
    logger.addHandler(handler)
    os.utime(log, (NOW, NOW))
    try:
        events = Events()
        events.begin(train=1)
        os.write(2, b"of a job\n")
        print("of Snakemake", file=sys.__stderr__, flush=True)
        put_waves(folder)
        train(folder)
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
