# Without this file, Snakemake waits without end for cancelled, preempted or forgotten jobs.
import sys

from passband.runs import slurm_patches as slurm

# Snakemake has already imported all executor plugins, and starts the selected plugin later.
if "snakemake_executor_plugin_slurm" in sys.modules:
    slurm.watch(sys.modules["snakemake_executor_plugin_slurm"])
