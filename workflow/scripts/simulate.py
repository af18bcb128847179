"""Simulate one shard of a specimen's structures."""

from passband import config
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.seeds import digest
from passband.specimens import exit_waves
from passband.storage import atomic, datasets


def main(snakemake):
    params, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output[0]
    name = " ".join(["simulate", *(word.rstrip("/") for word in wildcards if word)])
    with jobs.job(
        name, snakemake.log[0], snakemake.threads, snakemake.config, snakemake.resources.runtime
    ) as job:
        microscope = config.Microscope(**params.microscope)
        values = params.version, params.seed, params.specimen, params.crystal, params.microscope
        context = digest(*values, wildcards.specimen, wildcards.split, params.structures)
        reuse.exit_waves(job, params.cache, output, context)
        specimen, own = job.specimens(params.specimen, microscope.field_px)
        waves = exit_waves.simulate(
            wildcards.specimen,
            specimen,
            microscope,
            params.seed,
            wildcards.split,
            range(*params.structures),
            progress=job.progress,
            own=own,
        )
        attrs = job.provenance(output) | {"context": context}
        datasets.write(waves, params.cache, datasets.WAVES, attrs, {"structure": 1})
        atomic.link(params.cache, output)
        particles = float(waves.particles.mean())
        job.result = (
            f"{waves.sizes['structure']} exit waves of {particles:.1f} particles in {output}"
        )


if "snakemake" in globals():
    main(snakemake)
