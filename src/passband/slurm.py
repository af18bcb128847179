"""What became of a SLURM job, where Snakemake's SLURM plugin would ask for ever.

The plugin (2.8.0) takes for running whatever it does not know as ended: a job that somebody
cancelled (``sacct`` says "CANCELLED by 1000"), one that was preempted and is not requeued, and,
where ``squeue`` is asked, one that ended so long ago that the controller has forgotten it. Nothing
in its settings changes that. Here its answers are put into words that it understands, and its job
arrays are refused.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from types import ModuleType
from typing import Any

#: The states that a job keeps. In any other it waits, runs, or is about to be queued again.
ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
    }
)
#: The plugin calls a job of this state finished, and Snakemake then looks for its output: present,
#: it is taken; absent, the job has failed. Passband's outputs are whole or absent.
UNKNOWN = "UNKNOWN"


def is_requeueable(state: str) -> bool:
    """Return whether a job in this state has ended for good only if it is not queued again."""
    return state in ("NODE_FAIL", "PREEMPTED")


def settle(
    jobs: Collection[str], accounting: Mapping[str, str] | None, queue: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the states of jobs in words that end a job which has ended.

    Parameters
    ----------
    jobs : collection of str
        SLURM's numbers of the jobs that Snakemake waits for.
    accounting : mapping or None
        What ``sacct`` says of each; None where ``squeue`` is asked instead.
    queue : mapping or None
        What ``squeue`` says of each; None if it was not asked, or gave no answer. What it does not
        know it has forgotten.

    Returns
    -------
    dict
        The state by job. A job that the database does not have yet is absent.
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
            # The database keeps saying so while the job waits in the queue for its next turn, and
            # also if it is cancelled there.
            now = queue.get(job, UNKNOWN)
            if is_requeueable(now):
                state = "CANCELLED"
            elif now == UNKNOWN or now in ENDED:
                state = now
        settled[job] = state
    return settled


def watch(plugin: ModuleType) -> None:
    """Have the plugin learn of its jobs through :func:`settle`, and refuse job arrays.

    A second call changes nothing.

    Parameters
    ----------
    plugin : module
        ``snakemake_executor_plugin_slurm``.
    """
    if hasattr(plugin, "passband_watches"):
        return
    plugin.passband_watches = True
    check, query = plugin.Executor.check_active_jobs, plugin.query_job_status
    submit_command, begin = plugin.get_submit_command, plugin.Executor.__post_init__
    executor, jobs = None, []

    def post_init(self: Any, *arguments: Any) -> None:
        if arrays := self.workflow.executor_settings.array_jobs:
            raise plugin.WorkflowError(
                f"slurm-array-jobs = {arrays!r}: must not be set, since in the plugin's array mode "
                "one task's failure can delete another's finished output; study.replicas_per_job "
                "puts several networks in a job"
            )
        begin(self, *arguments)

    async def check_active_jobs(self: Any, active_jobs: list) -> AsyncIterator[Any]:
        nonlocal executor, jobs
        executor, jobs = self, [job.external_jobid for job in active_jobs]
        async for job in check(self, active_jobs):
            yield job

    async def query_job_status(command: str, logger: Any) -> tuple[dict | None, float | None]:
        states, seconds = await query(command, logger)
        if states is None:
            return states, seconds
        if command.startswith("squeue"):
            return states | settle(jobs, None, states), seconds
        queue = None
        # Without --requeue the plugin itself sees to jobs whose node failed.
        limbo = {"PREEMPTED"}
        if executor.workflow.executor_settings.requeue:
            limbo.add("NODE_FAIL")
        if any(states.get(job) in limbo for job in jobs):
            queue, _ = await query(plugin.query_job_status_squeue(executor.run_uuid), logger)
        return states | settle(jobs, states, queue), seconds

    def get_submit_command(*arguments: Any, failed_nodes: Collection[str] = (), **options: Any):
        # The plugin takes for the failed node of a job what the database says of its next turn, and
        # while that waits, sbatch would be told to exclude the node "None assigned", and refuse.
        nodes = {node for node in failed_nodes if " " not in node}
        return submit_command(*arguments, failed_nodes=nodes, **options)

    plugin.get_submit_command = get_submit_command
    plugin.Executor.__post_init__ = post_init
    plugin.Executor.check_active_jobs = check_active_jobs
    plugin.query_job_status = query_job_status
