"""The patches of the SLURM plugin, one by one. The tests in tests/slurm/ use a real SLURM."""

import asyncio
import logging
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from passband.runs import slurm_patches

STATES = [
    *sorted(slurm_patches.ENDED),
    "PENDING",
    "RUNNING",
    "COMPLETING",
    "SUSPENDED",
    "CANCELLED by 7",
]


@pytest.mark.parametrize(
    ("accounting", "queue", "settled"),
    [
        ("CANCELLED by 1000", None, "CANCELLED"),
        ("TIMEOUT", None, "TIMEOUT"),
        ("RUNNING", None, "RUNNING"),
        # Preempted, and …
        ("PREEMPTED", "PENDING", "PREEMPTED"),  # … waiting to start again
        ("PREEMPTED", "RUNNING", "PREEMPTED"),
        ("PREEMPTED", "PREEMPTED", "CANCELLED"),  # … not to be requeued
        ("PREEMPTED", "CANCELLED", "CANCELLED"),  # … cancelled while it waited
        ("PREEMPTED", "COMPLETED", "COMPLETED"),  # … done, not yet in the database
        ("PREEMPTED", None, "UNKNOWN"),  # … forgotten
        ("NODE_FAIL", "PENDING", "NODE_FAIL"),
        ("NODE_FAIL", "CANCELLED", "CANCELLED"),
    ],
)
def test_states_from_the_accounting_database(accounting, queue, settled):
    in_queue = {} if queue is None else {"1": queue}
    assert slurm_patches.settle(["1"], {"1": accounting}, in_queue) == {"1": settled}


@pytest.mark.parametrize(
    ("queue", "settled"),
    [(None, "UNKNOWN"), ("PREEMPTED", "CANCELLED"), ("NODE_FAIL", "CANCELLED")]
    + [(state, state) for state in ("CANCELLED", "COMPLETED", "FAILED", "PENDING", "RUNNING")],
)
def test_states_from_the_queue_without_a_database(queue, settled):
    assert slurm_patches.settle(["1"], None, {"1": queue} if queue else {}) == {"1": settled}


def test_a_job_that_is_not_yet_in_the_database_has_no_state():
    assert slurm_patches.settle(["1", "2"], {"2": "RUNNING"}, None) == {"2": "RUNNING"}


def test_without_an_answer_from_the_queue_nothing_is_decided():
    assert slurm_patches.settle(["1"], {"1": "PREEMPTED"}, None) == {"1": "PREEMPTED"}


@given(st.sampled_from(STATES), st.sampled_from([None, *STATES[:-1]]))
def test_a_job_ends_exactly_if_slurm_has_ended_it(accounting, queue):
    """If a job is in another state, the plugin continues to query the state."""
    ends = {*slurm_patches.ENDED, slurm_patches.UNKNOWN} - {"NODE_FAIL", "PREEMPTED"}
    known = accounting.partition(" by ")[0]
    last = queue if slurm_patches.is_requeueable(known) else accounting
    done = last is None or last.partition(" by ")[0] in slurm_patches.ENDED
    settled = slurm_patches.settle(["1"], {"1": accounting}, {} if queue is None else {"1": queue})
    assert (settled["1"] in ends) == done


# The plugin


class Executor:
    """What :func:`slurm_patches.apply` replaces of the plugin's executor."""

    run_uuid = "run"
    logger = logging.getLogger(__name__)
    _submitted_job_clusters = frozenset()

    def __post_init__(self):
        pass

    async def check_active_jobs(self, active_jobs):
        for job in active_jobs:
            yield job

    def run_job(self, job):
        pass

    def _report_job_error_threadsafe(self, job_info, message):
        pass

    def cancel(self):
        self.cancel_jobs([])


def watched(executor: type, **names) -> SimpleNamespace:
    """Return a plugin with an executor like the real one, changed by `slurm_patches.apply`."""
    names = {"query_job_status": None, "get_submit_command": None} | names
    plugin = SimpleNamespace(Executor=executor, **names)
    slurm_patches.apply(plugin)
    return plugin


@pytest.mark.parametrize("patch", slurm_patches.PATCHES, ids=lambda patch: patch.__name__)
def test_a_patch_says_which_fault_it_mends_and_when_it_goes(patch):
    """Its text can be sent upstream, with the tests that show the fault."""
    parts = re.split(r"\n    (Fault|Seen|Change|Goes): ", patch.__doc__)
    assert parts[1::2] == ["Fault", "Seen", "Change", "Goes"]
    shown = re.findall(r"\w+", parts[4])
    assert shown
    assert {*shown} <= {*globals()}


def test_job_arrays_are_refused():
    """One task's failure would delete another task's finished output."""
    executor = type("Own", (Executor,), dict(vars(Executor)))
    watched(executor, WorkflowError=WorkflowError)
    started = executor()
    started.workflow = SimpleNamespace(executor_settings=SimpleNamespace(array_jobs="train"))
    with pytest.raises(WorkflowError, match=r"slurm-array-jobs = 'train': must not be set"):
        started.__post_init__()


def asked(answers: dict[str, dict], jobs: list[str], requeue: bool = True):
    """Return the states that a changed plugin receives. A table answers its commands."""

    class Asking(Executor):
        workflow = SimpleNamespace(executor_settings=SimpleNamespace(requeue=requeue))

        async def check_active_jobs(self, active_jobs):
            command = next(iter(answers))
            self.states, _ = await plugin.query_job_status(command, None)
            if self.states is not None:  # as the plugin does
                for job in active_jobs:
                    yield job

    async def query_job_status(command, logger):
        return answers[command], 0.1

    plugin = watched(
        Asking,
        query_job_status=query_job_status,
        query_job_status_squeue=snakemake_executor_plugin_slurm.query_job_status_squeue,
    )
    executor = Asking()
    active = [SimpleNamespace(external_jobid=job) for job in jobs]

    async def check():
        return [job async for job in executor.check_active_jobs(active)]

    assert asyncio.run(check()) == active
    return executor.states


SQUEUE = snakemake_executor_plugin_slurm.query_job_status_squeue("run")


def test_the_queue_is_queried_only_for_jobs_that_may_be_requeued():
    # A second query would raise a KeyError.
    assert asked({"sacct": {"1": "CANCELLED by 0"}}, ["1"]) == {"1": "CANCELLED"}
    answers = {"sacct": {"1": "PREEMPTED", "2": "RUNNING"}, SQUEUE: {"1": "PENDING"}}
    assert asked(answers, ["1", "2"]) == {"1": "PREEMPTED", "2": "RUNNING"}
    answers[SQUEUE] = {"1": "PREEMPTED"}
    assert asked(answers, ["1", "2"]) == {"1": "CANCELLED", "2": "RUNNING"}


def test_a_failed_node_is_left_to_the_plugin_unless_slurm_requeues():
    """The plugin submits the job again, and excludes the node."""
    answers = {"sacct": {"1": "NODE_FAIL"}, SQUEUE: {"1": "CANCELLED"}}
    assert asked(answers, ["1"], requeue=False) == {"1": "NODE_FAIL"}
    assert asked(answers, ["1"], requeue=True) == {"1": "CANCELLED"}


def test_a_job_that_squeue_has_forgotten_depends_on_its_output():
    answers = {SQUEUE: {"2": "RUNNING"}}
    assert asked(answers, ["1", "2"]) == {"1": "UNKNOWN", "2": "RUNNING"}


def test_without_an_answer_snakemake_waits_for_every_job(caplog):
    """The unchanged plugin would not query these jobs again, and Snakemake would wait forever."""
    assert asked({"sacct": None}, ["1", "2"]) is None
    assert caplog.messages == [slurm_patches.SILENT]


def test_the_workflow_watches_the_installed_plugin(monkeypatch):
    """The installed plugin still has all names that `slurm_patches.apply` replaces."""
    plugin = snakemake_executor_plugin_slurm
    replaced = ((plugin, "query_job_status"), (plugin, "get_submit_command"))
    of_executor = ("check_active_jobs", "__post_init__", "run_job", "cancel", "cancel_jobs")
    of_executor += ("_report_job_error_threadsafe",)
    for owner, name in (*replaced, *((plugin.Executor, name) for name in of_executor)):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # restored after the test
    monkeypatch.delattr(plugin, "passband_patches", raising=False)
    before = plugin.query_job_status, plugin.Executor.check_active_jobs
    slurm_patches.apply(plugin)
    after = plugin.query_job_status, plugin.Executor.check_active_jobs
    slurm_patches.apply(plugin)  # as in a process that reads two workflows
    assert after == (plugin.query_job_status, plugin.Executor.check_active_jobs)
    del plugin.passband_patches
    assert all(old is not new for old, new in zip(before, after, strict=True))


def test_a_node_that_is_none_is_not_excluded():
    """sacct names the failed node of a job only until SLURM has queued that job again."""
    plugin = watched(
        type("Submitting", (Executor,), {}),
        get_submit_command=lambda job, *, failed_nodes: (job, failed_nodes),
    )
    nodes = {"None assigned", "gpu3"}
    assert plugin.get_submit_command("job", failed_nodes=nodes) == ("job", {"gpu3"})
    assert plugin.get_submit_command("job") == ("job", set())


class Submitting(Executor):
    """An executor whose sbatch answers from a list, with one answer for each call."""

    def __init__(self, *answers: str):
        self.answers, self.said, self.pool = list(answers), [], ThreadPoolExecutor(max_workers=2)
        self._job_submission_executor = self.pool

    def run_job(self, job):
        if answer := self.answers.pop(0):
            info = SimpleNamespace(job=job)
            self._report_job_error_threadsafe(info, f"SLURM sbatch failed. '{answer}'")

    def _report_job_error_threadsafe(self, job_info, message):
        self.said.append((job_info.job, message))


DOWN = "sbatch: error: Batch job submission failed: Unable to contact slurm controller"


def submitting(*answers: str) -> Submitting:
    """Return an executor that submits jobs, of a new class that has the patches."""
    executor = type("Own", (Submitting,), dict(vars(Submitting)))
    watched(executor)
    return executor(*answers)


def test_a_job_is_submitted_again_until_the_controller_answers(monkeypatch, caplog):
    """Otherwise the job and all other ready jobs would fail in less than a minute."""
    monkeypatch.setattr(slurm_patches, "RETRY_S", 0.0)
    executor = submitting(DOWN, DOWN, "")
    executor.run_job("job")
    assert (executor.answers, executor.said) == ([], [])
    assert caplog.messages == [slurm_patches.CLOSED]


def test_a_job_that_slurm_refuses_fails(monkeypatch):
    monkeypatch.setattr(slurm_patches, "RETRY_S", 0.0)
    executor = submitting("sbatch: error: invalid partition specified: nowhere")
    executor.run_job("job")
    ((job, message),) = executor.said
    assert job == "job"
    assert "invalid partition" in message


@pytest.mark.timeout(60)
def test_ctrl_c_ends_submission_and_cancels_all(monkeypatch):
    """The unchanged plugin cancels the submitted jobs, and then submits the remaining jobs."""
    ran = []
    monkeypatch.setattr(slurm_patches.subprocess, "run", lambda command, **_: ran.append(command))
    executor = submitting(DOWN, DOWN, *100 * [""])
    for job in range(10):  # two of them wait for the controller, in the pool's two threads
        executor.pool.submit(executor.run_job, job)
    while len(executor.answers) > 100:
        time.sleep(0.01)
    executor.cancel()
    assert ran == [["scancel", "--name=run"]]
    assert len(executor.answers) == 100
    assert executor.said == []


def test_jobs_that_slurm_does_not_cancel_are_named(monkeypatch, caplog):
    def fails(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(slurm_patches.subprocess, "run", fails)
    submitting().cancel()
    assert caplog.messages == [
        "SLURM did not cancel the jobs, and they continue: cancel them by scancel --name=run"
    ]


HELD = "1|0|launch failed requeued held\n2|0|JobHeldUser\n3|0|JobHeldUser\n4|1|Resources\n"


@pytest.mark.timeout(60)
def test_jobs_that_slurm_holds_are_named_once(monkeypatch, caplog):
    """Snakemake would wait for them without a word and without end."""
    answers = ["", None, HELD, HELD, HELD.replace("2|0|", "2|1|"), HELD]

    def squeue(command, **_):
        if not answers:
            if command[0] == "squeue":
                executor.cancel()
            return SimpleNamespace(stdout="")
        assert command[:3] == ["squeue", "--noheader", "--name=run"]
        if (printed := answers.pop(0)) is None:
            raise subprocess.CalledProcessError(1, command)
        return SimpleNamespace(stdout=printed)

    monkeypatch.setattr(slurm_patches, "HELD_S", 0.0)
    monkeypatch.setattr(slurm_patches.subprocess, "run", squeue)
    executor = submitting()
    executor.workflow = SimpleNamespace(executor_settings=SimpleNamespace(array_jobs=None))
    before = set(threading.enumerate())
    executor.__post_init__()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    release = "before you type: scontrol release"
    assert caplog.messages == [
        f"SLURM holds 1 job (launch failed requeued held) and does not start it {release} 1",
        f"SLURM holds 2 jobs (JobHeldUser) and does not start them {release} 2,3",
        f"SLURM holds 1 job (JobHeldUser) and does not start it {release} 2",
    ]
