# Jobs that somebody cancelled, or that SLURM preempted or has forgotten, would be waited for for ever.
import sys

from passband import slurm

# Snakemake has imported every executor plugin by now, and starts the one it needs after this.
if "snakemake_executor_plugin_slurm" in sys.modules:
    slurm.watch(sys.modules["snakemake_executor_plugin_slurm"])
