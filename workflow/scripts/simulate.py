"""Simulate one shard of a specimen's structures."""

from passband import config, jobs, simulate, store

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["simulate", *wildcards])

with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    waves = simulate.simulate(
        wildcards.specimen,
        config.Specimen(**params.specimen),
        config.Microscope(**params.microscope),
        params.seed,
        wildcards.split,
        range(*params.structures),
        progress=job.progress,
    )
    store.write(
        waves,
        snakemake.output[0],
        store.WAVES,
        job.provenance(snakemake.output[0]),
        {"structure": 1},
    )
    made = f"{waves.sizes['structure']} exit waves of {float(waves.particles.mean()):.1f} particles"
    job.made = f"{made} in {snakemake.output[0]}"
