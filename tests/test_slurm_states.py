"""What Snakemake is told became of a SLURM job. tests/slurm/ has SLURM itself say it."""

import asyncio
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm
from hypothesis import given
from hypothesis import strategies as st

from passband import slurm

STATES = [*sorted(slurm.ENDED), "PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "CANCELLED by 7"]


@pytest.mark.parametrize(
    ("accounting", "queue", "settled"),
    [
        ("CANCELLED by 1000", None, "CANCELLED"),
        ("TIMEOUT", None, "TIMEOUT"),
        ("RUNNING", None, "RUNNING"),
        # Preempted, and …
        ("PREEMPTED", "PENDING", "PREEMPTED"),  # … waiting for its next turn
        ("PREEMPTED", "RUNNING", "PREEMPTED"),
        ("PREEMPTED", "PREEMPTED", "CANCELLED"),  # … not to be requeued
        ("PREEMPTED", "CANCELLED", "CANCELLED"),  # … cancelled while it waited
        ("PREEMPTED", "COMPLETED", "COMPLETED"),  # … done, which the database does not know yet
        ("PREEMPTED", None, "UNKNOWN"),  # … forgotten
        ("NODE_FAIL", "PENDING", "NODE_FAIL"),
        ("NODE_FAIL", "CANCELLED", "CANCELLED"),
    ],
)
def test_what_the_accounting_database_says(accounting, queue, settled):
    in_queue = {} if queue is None else {"1": queue}
    assert slurm.settle(["1"], {"1": accounting}, in_queue) == {"1": settled}


@pytest.mark.parametrize(
    ("queue", "settled"),
    [(None, "UNKNOWN"), ("PREEMPTED", "CANCELLED"), ("NODE_FAIL", "CANCELLED")]
    + [(state, state) for state in ("CANCELLED", "COMPLETED", "FAILED", "PENDING", "RUNNING")],
)
def test_what_the_queue_says_where_there_is_no_database(queue, settled):
    assert slurm.settle(["1"], None, {"1": queue} if queue else {}) == {"1": settled}


def test_a_job_that_the_database_does_not_have_yet_is_left_alone():
    assert slurm.settle(["1", "2"], {"2": "RUNNING"}, None) == {"2": "RUNNING"}


def test_without_an_answer_from_the_queue_nothing_is_decided():
    assert slurm.settle(["1"], {"1": "PREEMPTED"}, None) == {"1": "PREEMPTED"}


@given(st.sampled_from(STATES), st.sampled_from([None, *STATES[:-1]]))
def test_a_job_ends_if_and_only_if_slurm_is_done_with_it(accounting, queue):
    """The plugin goes on asking about what is neither of these."""
    ends = {*slurm.ENDED, slurm.UNKNOWN} - {"NODE_FAIL", "PREEMPTED"}
    known = accounting.partition(" by ")[0]
    last = queue if slurm.is_requeueable(known) else accounting
    done = last is None or last.partition(" by ")[0] in slurm.ENDED
    settled = slurm.settle(["1"], {"1": accounting}, {} if queue is None else {"1": queue})
    assert (settled["1"] in ends) == done


# The plugin


def asked(answers: dict[str, dict], jobs: list[str], requeue: bool = True):
    """Return what a plugin that is watched learns, its commands answered from a table."""

    class Executor:
        run_uuid = "run"
        workflow = SimpleNamespace(executor_settings=SimpleNamespace(requeue=requeue))

        def __post_init__(self):
            pass

        async def check_active_jobs(self, active_jobs):
            command = next(iter(answers))
            self.states, _ = await plugin.query_job_status(command, None)
            for job in active_jobs:
                yield job

    async def query_job_status(command, logger):
        return answers[command], 0.1

    plugin = SimpleNamespace(
        Executor=Executor,
        query_job_status=query_job_status,
        query_job_status_squeue=snakemake_executor_plugin_slurm.query_job_status_squeue,
        get_submit_command=None,
    )
    slurm.watch(plugin)
    executor = Executor()
    active = [SimpleNamespace(external_jobid=job) for job in jobs]

    async def check():
        return [job async for job in executor.check_active_jobs(active)]

    assert asyncio.run(check()) == active
    return executor.states


SQUEUE = snakemake_executor_plugin_slurm.query_job_status_squeue("run")


def test_the_queue_is_asked_only_about_jobs_in_between():
    # A second question would be a KeyError.
    assert asked({"sacct": {"1": "CANCELLED by 0"}}, ["1"]) == {"1": "CANCELLED"}
    answers = {"sacct": {"1": "PREEMPTED", "2": "RUNNING"}, SQUEUE: {"1": "PENDING"}}
    assert asked(answers, ["1", "2"]) == {"1": "PREEMPTED", "2": "RUNNING"}
    answers[SQUEUE] = {"1": "PREEMPTED"}
    assert asked(answers, ["1", "2"]) == {"1": "CANCELLED", "2": "RUNNING"}


def test_a_failed_node_is_left_to_the_plugin_unless_slurm_requeues():
    """It submits the job again, and keeps away from the node."""
    answers = {"sacct": {"1": "NODE_FAIL"}, SQUEUE: {"1": "CANCELLED"}}
    assert asked(answers, ["1"], requeue=False) == {"1": "NODE_FAIL"}
    assert asked(answers, ["1"], requeue=True) == {"1": "CANCELLED"}


def test_a_job_that_squeue_has_forgotten_is_judged_by_its_output():
    answers = {SQUEUE: {"2": "RUNNING"}}
    assert asked(answers, ["1", "2"]) == {"1": "UNKNOWN", "2": "RUNNING"}


def test_an_unanswered_question_stays_one():
    assert asked({"sacct": None}, ["1"]) is None


def test_the_workflow_watches_the_installed_plugin(monkeypatch):
    """The names that are replaced are still the plugin's own."""
    plugin = snakemake_executor_plugin_slurm
    replaced = ((plugin, "query_job_status"), (plugin, "get_submit_command"))
    of_executor = "check_active_jobs", "__post_init__"
    for owner, name in (*replaced, *((plugin.Executor, name) for name in of_executor)):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back after the test
    monkeypatch.delattr(plugin, "passband_watches", raising=False)
    before = plugin.query_job_status, plugin.Executor.check_active_jobs
    slurm.watch(plugin)
    after = plugin.query_job_status, plugin.Executor.check_active_jobs
    slurm.watch(plugin)  # as when a process reads two workflows
    assert after == (plugin.query_job_status, plugin.Executor.check_active_jobs)
    del plugin.passband_watches
    assert all(old is not new for old, new in zip(before, after, strict=True))


def test_a_node_that_is_none_is_not_excluded():
    """sacct names the failed node of a job only until SLURM has queued that job again."""
    plugin = SimpleNamespace(
        Executor=SimpleNamespace(check_active_jobs=None, __post_init__=None),
        query_job_status=None,
        get_submit_command=lambda job, *, failed_nodes: (job, failed_nodes),
    )
    slurm.watch(plugin)
    nodes = {"None assigned", "gpu3"}
    assert plugin.get_submit_command("job", failed_nodes=nodes) == ("job", {"gpu3"})
    assert plugin.get_submit_command("job") == ("job", set())
