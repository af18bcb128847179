"""Simulate those structures of one shard that no earlier job has simulated."""

from pathlib import Path

from passband import config
from passband.cache.regrouping import Shard
from passband.jobs import job as jobs
from passband.jobs import reuse


def main(snakemake):
    params, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output[0]
    words, runtime = [word.rstrip("/") for word in wildcards if word], snakemake.resources.runtime
    name = " ".join(["simulate", *words])
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config, runtime) as job:
        values = params.version, params.seed, params.specimen, params.crystal, params.microscope
        of, structures = (wildcards.specimen, wildcards.split), range(*params.structures)
        shard = Shard(Path(params.cache), (*values, *of), structures)
        attrs = job.provenance(output)
        parts = reuse.exit_waves(job, shard, output, attrs)

        # This module imports ASE and SciPy, and its function abTEM if the study chose it, which
        # takes seconds. So a job without work does not need it.
        from passband.specimens import exit_waves

        found = {index for part in parts for index in part.structure.values.tolist()}
        microscope = config.Microscope(**params.microscope)
        specimen, own = job.specimens(params.specimen, microscope.field_px)
        simulated = exit_waves.simulate(
            wildcards.specimen,
            specimen,
            microscope,
            params.seed,
            wildcards.split,
            [index for index in structures if index not in found],
            progress=job.progress,
            own=own,
        )
        waves = shard.write([simulated, *parts], output, attrs)
        particles, number = float(waves.particles.mean()), waves.sizes["structure"]
        job.result = f"{number} exit waves of {particles:.1f} particles in {output}"


if "snakemake" in globals():
    main(snakemake)
