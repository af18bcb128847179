"""Patches of Snakemake's SLURM plugin, snakemake-executor-plugin-slurm 2.8.0, one for each fault.

No setting of the plugin mends these faults. A patch is a function; its text can be sent upstream:

* **Fault**: what the plugin does, and in which of its functions,
* **Seen**: the test that shows it,
* **Change**: what would mend it in the plugin,
* **Goes**: when the patch can be deleted.

Other faults need no patch, since the profiles avoid them: the resources ``gpus`` and ``nvidia_gpu``
do not reach ``sbatch`` (a rule requests ``gpu``); the documented resource ``slurm_requeue`` is not
read (a profile sets ``slurm-requeue``); nor is ``slurm-no-account``.
"""

import functools
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

#: Final states of a SLURM job. A job in any other state waits, runs, or will be queued again.
ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
    }
)
#: The plugin assumes that a job in this state has ended, and Snakemake then looks for its output.
#: If the job's output is absent, the job has failed. An output of Passband is never incomplete.
UNKNOWN = "UNKNOWN"
#: Messages of ``sbatch`` while the controller is down, restarts, or is too busy.
OUTAGE = (
    "Unable to contact slurm controller",
    "Socket timed out on send/recv operation",
    "Zero Bytes were transmitted or received",
)
#: Warnings that Snakemake prints once each while SLURM's controller does not answer.
SILENT = "SLURM does not report the states of jobs; Snakemake repeats the query until it does"
CLOSED = "SLURM accepts no jobs; Snakemake repeats the submission until it does"
#: Seconds after which Passband submits a job again that could not be submitted.
RETRY_S = 15.0
#: Seconds between two queries for jobs that SLURM holds.
HELD_S = 30.0


def refuse_arrays(plugin: ModuleType) -> None:
    """Job arrays lose finished outputs.

    Fault: Every task of an array checks the output of the first, so that a task that failed lets
    Snakemake delete the finished output of another; with ``sacct``, all tasks have the state of
    the array; and with ``--jobs`` below the number of ready jobs, nothing is submitted
    (`run_array_jobs`, `check_active_jobs`; issue 473).
    Seen: test_job_arrays_are_refused
    Change: each task with its own job's output and its own state.
    Goes: when an array with one failed task keeps the outputs of the others, and an array that is
    larger than ``--jobs`` runs.
    """

    @_around(plugin.Executor, "__post_init__")
    def refuse(begin: Callable, self: Any, *arguments: Any) -> None:
        if arrays := self.workflow.executor_settings.array_jobs:
            raise plugin.WorkflowError(
                f"slurm-array-jobs = {arrays!r}: must not be set, since in the plugin's array mode "
                "one task's failure can delete another task's finished output; "
                "study.replicas_per_job puts several networks in a job"
            )
        begin(self, *arguments)


def submit_nothing_after_an_interrupt(plugin: ModuleType) -> None:
    """After Ctrl-C, jobs are submitted that nobody waits for.

    Fault: `Executor.cancel` cancels the jobs that are submitted; the jobs that wait in the thread
    pool `_job_submission_executor` are submitted afterwards.
    Seen: test_ctrl_c_ends_submission_and_cancels_all
    Change: ``self._job_submission_executor.shutdown(wait=True, cancel_futures=True)`` before jobs
    are cancelled.
    Goes: when `squeue` is empty after Ctrl-C during the submission of 100 jobs.
    """

    @_around(plugin.Executor, "cancel")
    def cancel(cancel: Callable, self: Any) -> None:
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        cancel(self)


def cancel_jobs_by_their_name(plugin: ModuleType) -> None:
    """Some jobs go on after Ctrl-C.

    Fault: `cancel_jobs` gets a list that lacks the jobs whose states are being queried. If
    ``scancel`` fails, it raises an error, and does not say which jobs go on.
    Seen: test_ctrl_c_ends_submission_and_cancels_all,
    test_jobs_that_slurm_does_not_cancel_are_named
    Change: ``scancel --name=`` with `run_uuid`, which all jobs of a run have; a warning with this
    command if it fails.
    Goes: when Ctrl-C during a query leaves no job in the queue.
    """

    def cancel_jobs(self: Any, active_jobs: list) -> None:
        command = ["scancel", f"--name={self.run_uuid}"]
        if self._submitted_job_clusters:
            command.append("--clusters=all")
        try:
            subprocess.run(
                command, check=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True
            )
        except (OSError, subprocess.SubprocessError):
            self.logger.warning(
                "SLURM did not cancel the jobs, and they continue: cancel them by "
                f"{' '.join(command)}"
            )

    plugin.Executor.cancel_jobs = cancel_jobs


def know_final_states(plugin: ModuleType) -> None:
    """Snakemake waits without end for some jobs that have ended.

    Fault: `check_active_jobs` assumes that a job runs as long as it does not know the job's state
    as a final one. It does not know: ``CANCELLED by 1000``, which ``sacct`` prints after
    ``scancel``; ``PREEMPTED`` of a job that SLURM does not requeue; with ``requeue``, ``NODE_FAIL``
    of a job that was cancelled in the queue; with ``squeue``, a job that the controller has
    forgotten.
    Seen: test_states_from_the_accounting_database, test_states_from_the_queue_without_a_database,
    test_the_queue_is_queried_only_for_jobs_that_may_be_requeued
    Change: :func:`settle` for the answer of `query_job_status`.
    Goes: when each of the four ends a run.
    """
    executor: Any = None
    jobs: list[str] = []

    @_around(plugin.Executor, "check_active_jobs")
    def check_active_jobs(check: Callable, self: Any, active_jobs: list) -> Any:
        nonlocal executor, jobs
        executor = self
        jobs = [job.external_jobid for job in active_jobs]
        return check(self, active_jobs)

    @_around(plugin, "query_job_status")
    async def query_job_status(query: Callable, command: str, logger: Any) -> tuple:
        states, seconds = await query(command, logger)
        if states is None:
            return states, seconds
        if command.startswith("squeue"):
            return states | settle(jobs, None, states), seconds
        queue = None
        # Without --requeue the plugin itself handles jobs whose node failed.
        limbo = {"PREEMPTED"}
        if executor.workflow.executor_settings.requeue:
            limbo.add("NODE_FAIL")
        if any(states.get(job) in limbo for job in jobs):
            queue, _ = await query(plugin.query_job_status_squeue(executor.run_uuid), logger)
        return states | settle(jobs, states, queue), seconds


def is_requeueable(state: str) -> bool:
    """Return whether SLURM may put a job that is in this state into the queue again."""
    return state in ("NODE_FAIL", "PREEMPTED")


def settle(
    jobs: Collection[str], accounting: Mapping[str, str] | None, queue: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the states of jobs in words that the plugin recognises.

    Args:
        jobs: Numbers that SLURM gave to the jobs for which Snakemake waits.
        accounting: Each job's state from ``sacct``; None if the plugin calls ``squeue`` instead.
        queue: Each job's state from ``squeue``; None if ``squeue`` was not called or did not
            answer. If a job is missing in this mapping, the controller has forgotten the job.

    Returns:
        The state of each job, except jobs that the accounting database does not contain yet.
    """
    settled = {}
    for job in jobs:
        state = (queue if accounting is None else accounting).get(job)
        if state is None:
            if accounting is None:
                settled[job] = UNKNOWN
            continue
        state = state.partition(" by ")[0]
        if is_requeueable(state) and queue is not None:
            # The database keeps this state while the job waits in the queue to start again, and
            # also if somebody cancels the job in the queue.
            now = queue.get(job, UNKNOWN)
            if is_requeueable(now):
                state = "CANCELLED"
            elif now == UNKNOWN or now in ENDED:
                state = now
        settled[job] = state
    return settled


def wait_for_states(plugin: ModuleType) -> None:
    """While SLURM's controller does not answer, the plugin forgets the jobs that it waits for.

    Fault: If `query_job_status` returns None, `check_active_jobs` yields no job, and Snakemake
    takes those that are not yielded as neither running nor ended: it waits without end.
    Seen: test_without_an_answer_snakemake_waits_for_every_job
    Change: yield all of `active_jobs` if there is no answer, and say so.
    Goes: when a run goes on after its controller was down for five minutes.
    """
    answered = True
    warning = _Warning(SILENT)

    @_around(plugin, "query_job_status")
    async def query_job_status(query: Callable, command: str, logger: Any) -> tuple:
        nonlocal answered
        states, seconds = await query(command, logger)
        answered = states is not None
        if answered:
            warning.over()
        return states, seconds

    @_around(plugin.Executor, "check_active_jobs")
    async def check_active_jobs(check: Callable, self: Any, active_jobs: list) -> Any:
        nonlocal answered
        answered = True
        kept = []
        async for job in check(self, active_jobs):
            kept.append(job)
            yield job
        if not answered:
            warning.say(self.logger)
            for job in active_jobs:
                if job not in kept:
                    yield job


def submit_again_after_an_outage(plugin: ModuleType) -> None:
    """While SLURM's controller does not answer, all ready jobs fail within a minute.

    Fault: `run_job` reports an error for every ``sbatch`` that fails, also if the controller is
    down, restarts, or is too busy.
    Seen: test_a_job_is_submitted_again_until_the_controller_answers
    Change: repeat ``sbatch`` after the messages in :data:`OUTAGE`.
    Goes: when a run goes on whose controller was down for five minutes while jobs were ready.
    """
    refused: set = set()
    warning = _Warning(CLOSED)
    interrupted = _interrupted(plugin)

    @_around(plugin.Executor, "_report_job_error_threadsafe")
    def report_error(report: Callable, self: Any, job_info: Any, message: str) -> None:
        if any(words in message for words in OUTAGE):
            refused.add(job_info.job)
        else:
            report(self, job_info, message)

    @_around(plugin.Executor, "run_job")
    def run_job(run: Callable, self: Any, job: Any) -> None:
        # Runs in one of the plugin's submission threads.
        run(self, job)
        while job in refused:
            refused.discard(job)
            warning.say(self.logger)
            if interrupted.wait(RETRY_S):
                return
            run(self, job)
        warning.over()


def exclude_only_nodes(plugin: ModuleType) -> None:
    """After a node has failed, ``sbatch`` refuses all jobs.

    Fault: `check_active_jobs` reads a job's failed node from the database's entry for the next
    attempt. While that attempt waits, the entry is "None assigned", and `get_submit_command` lets
    ``sbatch`` exclude a node of this name, which does not exist.
    Seen: test_a_node_that_is_none_is_not_excluded
    Change: leave the words "None assigned" out of `_failed_nodes`.
    Goes: when jobs are submitted after a node has failed.
    """

    @_around(plugin, "get_submit_command")
    def get_submit_command(
        submit: Callable, *arguments: Any, failed_nodes: Collection[str] = (), **options: Any
    ) -> str:
        nodes = {node for node in failed_nodes if " " not in node}
        return submit(*arguments, failed_nodes=nodes, **options)


def name_held_jobs(plugin: ModuleType) -> None:
    """Snakemake waits without a word for jobs that SLURM holds until somebody releases them.

    Fault: SLURM holds a job, for example, that a node could not start. Its state is ``PENDING``,
    as that of a job which waits for its turn, and the plugin prints nothing.
    Seen: test_jobs_that_slurm_holds_are_named_once
    Change: name the pending jobs with priority 0 once, with their reason and how to release them.
    Goes: when a run names its held jobs.
    """
    interrupted = _interrupted(plugin)

    @_around(plugin.Executor, "__post_init__")
    def watch(begin: Callable, self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        threading.Thread(target=name_held, args=[self], daemon=True).start()

    def name_held(self: Any) -> None:
        known: dict[str, str] = {}
        while not interrupted.wait(HELD_S):
            with suppress(OSError, subprocess.SubprocessError):
                now = held(self.run_uuid)
                for line in held_lines({job: why for job, why in now.items() if job not in known}):
                    self.logger.warning(line)
                known = now


def held(run: str) -> dict[str, str]:
    """Return the jobs of a run that SLURM holds until somebody releases them, and its reasons.

    The priority of such a job is 0.

    Raises:
        OSError, subprocess.SubprocessError: If ``squeue`` does not answer.
    """
    command = ["squeue", "--noheader", f"--name={run}", "--states=PENDING", "--format=%i|%Q|%r"]
    ran = subprocess.run(
        command, check=True, timeout=60, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    rows = [line.split("|") for line in ran.stdout.splitlines()]
    return {job: reason for job, priority, reason in rows if priority == "0"}


def held_lines(jobs: Mapping[str, str]) -> list[str]:
    """Return a warning for each reason for which SLURM holds jobs."""
    by_reason = defaultdict(list)
    for job, reason in jobs.items():
        by_reason[reason].append(job)
    return [
        f"SLURM holds {len(names)} job{'s' * (len(names) != 1)} ({reason}) and does not start "
        f"{'it' if len(names) == 1 else 'them'} before you type: scontrol release {','.join(names)}"
        for reason, names in by_reason.items()
    ]


#: All patches. A later one sees what the earlier ones return.
PATCHES = (
    submit_nothing_after_an_interrupt,
    cancel_jobs_by_their_name,
    know_final_states,
    wait_for_states,
    submit_again_after_an_outage,
    exclude_only_nodes,
    name_held_jobs,
    refuse_arrays,
)


def apply(plugin: ModuleType) -> None:
    """Apply all patches to ``snakemake_executor_plugin_slurm``. A second call changes nothing."""
    if not hasattr(plugin, "passband_patches"):
        plugin.passband_patches = PATCHES
        for patch in PATCHES:
            patch(plugin)


def _around(owner: Any, name: str) -> Callable[[Callable], None]:
    """Return a decorator that replaces a function; the replaced one is the first argument."""

    def replace(function: Callable) -> None:
        old = getattr(owner, name)

        @functools.wraps(old)
        def new(*arguments: Any, **options: Any) -> Any:
            return function(old, *arguments, **options)

        setattr(owner, name, new)

    return replace


def _interrupted(plugin: ModuleType) -> threading.Event:
    """Return an event that is set as soon as Snakemake cancels its jobs."""
    event = threading.Event()

    @_around(plugin.Executor, "cancel")
    def cancel(cancel: Callable, self: Any) -> None:
        event.set()
        cancel(self)

    return event


class _Warning:
    """A warning that is printed once in each period in which SLURM's controller does not answer."""

    def __init__(self, text: str):
        self._text = text
        self._is_said = False

    def say(self, logger: Any) -> None:
        if not self._is_said:
            self._is_said = True
            logger.warning(self._text)

    def over(self) -> None:
        self._is_said = False
