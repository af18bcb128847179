"""Simulate one shard of a specimen's structures."""

from passband import config, jobs, simulate, store

params, wildcards = snakemake.params, snakemake.wildcards
name = f"simulate {wildcards.specimen} {wildcards.split} {wildcards.shard}"

with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    first = int(wildcards.shard) * params.per_shard
    indices = range(first, min(first + params.per_shard, params.structures))
    waves = simulate.simulate(
        wildcards.specimen,
        config.Specimen(**params.specimen),
        config.Microscope(**params.microscope),
        params.seed,
        wildcards.split,
        indices,
        progress=job.progress,
    )
    store.write(
        waves,
        snakemake.output[0],
        store.WAVES,
        job.provenance(snakemake.output[0]),
        {"structure": 1},
    )
    job.made = f"{len(indices)} exit waves in {snakemake.output[0]}"
