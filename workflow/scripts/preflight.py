"""Check the node that this runs on; a check that fails is in the log, and leaves no report."""

from pathlib import Path

from passband import jobs, preflight, store

with jobs.job("preflight", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    found = preflight.run(job.study, Path(snakemake.output[0]).parent, snakemake.threads)
    job.log(f"this node:\n{preflight.table(found)}")
    preflight.demand(found)
    with store.replacing(snakemake.output[0]) as beside:
        beside.write_text(preflight.table(found) + "\n", encoding="utf-8")
    job.made = f"{len(found)} checks, none failed, in {snakemake.output[0]}"
