"""Simulate one shard of a specimen's structures."""

from passband import config, jobs, simulate, store
from passband.seeds import digest

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["simulate", *wildcards])

with jobs.job(
    name, snakemake.log[0], snakemake.threads, snakemake.config, snakemake.resources.runtime
) as job:
    parts = params.version, params.seed, params.specimen, params.crystal, params.microscope
    context = digest(*parts, wildcards.specimen, wildcards.split, params.structures)
    if store.holds(params.kept, store.WAVES, context):
        store.link(params.kept, snakemake.output[0])
        job.leave(f"exit waves in {snakemake.output[0]}")
    waves = simulate.simulate(
        wildcards.specimen,
        config.Specimen(**params.specimen),
        config.Microscope(**params.microscope),
        params.seed,
        wildcards.split,
        range(*params.structures),
        progress=job.progress,
    )
    attrs = job.provenance(snakemake.output[0]) | {"context": context}
    store.write(waves, params.kept, store.WAVES, attrs, {"structure": 1})
    store.link(params.kept, snakemake.output[0])
    made = f"{waves.sizes['structure']} exit waves of {float(waves.particles.mean()):.1f} particles"
    job.made = f"{made} in {snakemake.output[0]}"
