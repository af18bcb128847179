"""Gather the distances of all specimens, architectures and test conditions."""

from passband import distances, jobs, store

with jobs.job("distances", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    gathered = distances.gather([store.read(part, store.DISTANCES) for part in snakemake.input])
    store.write(gathered, snakemake.output[0], store.DISTANCES, job.provenance(snakemake.output[0]))
    job.made = (
        f"{gathered.sizes['train']} × {gathered.sizes['test']} pairs in {snakemake.output[0]}"
    )
