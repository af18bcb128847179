"""Corrections of Snakemake's SLURM plugin, which waits without end for some jobs that have ended.

The plugin (2.8.0) assumes that a job runs as long as the plugin does not recognise a final state of
the job. The plugin does not recognise three final states: a job that somebody cancelled (``sacct``
prints "CANCELLED by 1000"), a preempted job that is not requeued, and, if the plugin calls
``squeue``, a job that the controller has forgotten. While SLURM's controller does not answer, the
plugin forgets the jobs that it waits for, and new jobs fail. After Ctrl-C the plugin cancels the
submitted jobs, and then submits the remaining jobs. It does not say that SLURM holds a job. No
setting of the plugin changes this behaviour.

This module translates SLURM's states into states that the plugin recognises. If the
controller does not answer, the module waits until it answers again. The module also names jobs that
are held, ends all jobs after Ctrl-C, and refuses the plugin's job arrays.
"""

import subprocess
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
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


def held(run: str) -> dict[str, str]:
    """Return the jobs of a run that SLURM holds until somebody releases them, and its reasons.

    SLURM holds a job, for example, if a node could not start it. The priority of such a job is 0.

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


def watch(plugin: ModuleType) -> None:
    """Make the plugin use :func:`settle`, and apply the other corrections of this module.

    A second call changes nothing.

    Args:
        plugin: ``snakemake_executor_plugin_slurm``.
    """
    if hasattr(plugin, "passband_watches"):
        return
    plugin.passband_watches = True
    executors, query, submit = plugin.Executor, plugin.query_job_status, plugin.get_submit_command
    begin, check, run = executors.__post_init__, executors.check_active_jobs, executors.run_job
    report, cancel = executors._report_job_error_threadsafe, executors.cancel
    executor, jobs, answered = None, [], True
    refused, said, over = set(), set(), threading.Event()

    def post_init(self: Any, *arguments: Any) -> None:
        if arrays := self.workflow.executor_settings.array_jobs:
            raise plugin.WorkflowError(
                f"slurm-array-jobs = {arrays!r}: must not be set, since in the plugin's array mode "
                "one task's failure can delete another task's finished output; "
                "study.replicas_per_job puts several networks in a job"
            )
        begin(self, *arguments)
        threading.Thread(target=name_held, args=[self], daemon=True).start()

    def name_held(self: Any) -> None:
        """Name each job that SLURM holds, once, while the run goes on."""
        known: dict[str, str] = {}
        while not over.wait(HELD_S):
            with suppress(OSError, subprocess.SubprocessError):
                now = held(self.run_uuid)
                for line in held_lines({job: why for job, why in now.items() if job not in known}):
                    self.logger.warning(line)
                known = now

    def say(self: Any, what: str) -> None:
        """Print a warning once in each period in which SLURM's controller does not answer."""
        if what not in said:
            said.add(what)
            self.logger.warning(what)

    async def check_active_jobs(self: Any, active_jobs: list) -> AsyncIterator[Any]:
        nonlocal executor, jobs, answered
        executor, jobs, answered = self, [job.external_jobid for job in active_jobs], True
        kept = []
        async for job in check(self, active_jobs):
            kept.append(job)
            yield job
        if not answered:
            say(self, SILENT)
            for job in active_jobs:
                if job not in kept:
                    yield job

    async def query_job_status(command: str, logger: Any) -> tuple[dict | None, float | None]:
        nonlocal answered
        states, seconds = await query(command, logger)
        answered = states is not None
        if not answered:
            return states, seconds
        said.discard(SILENT)
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

    def get_submit_command(*arguments: Any, failed_nodes: Collection[str] = (), **options: Any):
        # The plugin reads a job's failed node from the database's entry for the next attempt. While
        # that attempt waits, the entry is "None assigned", and sbatch would refuse to exclude it.
        nodes = {node for node in failed_nodes if " " not in node}
        return submit(*arguments, failed_nodes=nodes, **options)

    def report_error(self: Any, job_info: Any, message: str) -> None:
        if any(words in message for words in OUTAGE):
            refused.add(job_info.job)
        else:
            report(self, job_info, message)

    def run_job(self: Any, job: Any) -> None:
        # Runs in one of the plugin's submission threads.
        run(self, job)
        while job in refused:
            refused.discard(job)
            say(self, CLOSED)
            if over.wait(RETRY_S):
                return
            run(self, job)
        said.discard(CLOSED)

    def cancel_all(self: Any) -> None:
        over.set()
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        cancel(self)

    def cancel_jobs(self: Any, active_jobs: list) -> None:
        # Cancel by the common name of all jobs: the plugin's list lacks the jobs of its current
        # query.
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

    plugin.get_submit_command = get_submit_command
    plugin.query_job_status = query_job_status
    executors.__post_init__ = post_init
    executors.check_active_jobs = check_active_jobs
    executors.run_job = run_job
    executors._report_job_error_threadsafe = report_error
    executors.cancel, executors.cancel_jobs = cancel_all, cancel_jobs
