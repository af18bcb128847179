"""Simulate those structures of one shard that no earlier job has simulated."""

from passband.jobs import reuse, running
from passband.results import wave_layout
from passband.store.waves import StoredShard, StoredWaves


def main(snakemake):
    wildcards = snakemake.wildcards
    output = snakemake.output[0]
    with running.of_rule(snakemake, "simulate") as job:
        specimen = wildcards.specimen
        split = wildcards.split
        waves = wildcards.waves.rstrip("/")
        structures = wave_layout.structures_of_shard(job.study, split, wildcards.shard)
        of_split = StoredWaves.of(job.results, specimen, split=split, waves=waves)
        stored = StoredShard(of_split, structures, output)
        attrs = job.provenance(output)
        there = reuse.or_end(job, stored, attrs)

        # This module imports ASE and SciPy, and its function abTEM if the study chose it, which
        # takes seconds. So a job without work does not need it.
        from passband.specimens import exit_waves

        found = {index for each in there for index in each.structure.values.tolist()}
        under, microscope, own = wave_layout.simulated(job.study, specimen, waves)
        simulated = exit_waves.simulate(
            specimen,
            under,
            microscope,
            seed=job.study.study.seed,
            split=split,
            indices=[index for index in structures if index not in found],
            progress=job.progress,
            own=own,
        )
        made = [simulated, *there]
        stored.put(made, attrs)
        job.result = stored.words(made)


if "snakemake" in globals():
    main(snakemake)
