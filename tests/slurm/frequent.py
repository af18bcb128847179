"""Start Snakemake, and query the states of SLURM jobs, and which of them are held, every second.

The plugin waits ten seconds longer after each query in which no job has ended, and Snakemake ends
only after such a wait. Jobs of the tests take seconds, so the tests would mostly wait.
"""

import asyncio

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from passband.runs import slurm_patches


async def sleep(self: RemoteExecutor) -> None:
    await asyncio.sleep(1)


if __name__ == "__main__":
    RemoteExecutor.sleep = sleep
    slurm_patches.HELD_S = 1.0
    main()
