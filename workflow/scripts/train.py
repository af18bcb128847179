"""Train one job's networks. If an earlier attempt saved a state, continue from it."""

from passband.jobs import reuse, running
from passband.results import network_batches, wave_layout
from passband.store.networks import StoredNetworks


def main(snakemake):
    wildcards = snakemake.wildcards
    resources = snakemake.resources
    with running.of_rule(snakemake, "train") as job:
        stored = StoredNetworks(job.results, network_batches.batch_of(job.study, wildcards))
        attrs = job.provenance(snakemake.output.weights)
        found = reuse.or_end(job, stored, attrs)

        # These modules import torch, which takes seconds. So a job without work does not need them.
        from passband.jobs import missing_networks
        from passband.learning.replicas import ReplicaTrainer

        running.cap_threads(snakemake.threads)
        sets = wave_layout.waves_of(stored.batch.conditions)
        trainer = ReplicaTrainer(
            [job.results.structures(wildcards.specimen, split, sets) for split in ("train", "val")],
            wildcards.architecture,
            job.study.training,
            replicas=len(stored.batch.replicas),
            host_bytes=1e6 * resources.mem_mb,
            log=job.log,
        )
        cells = missing_networks.complete(job, stored, found=found, trainer=trainer)
        stored.put(cells, attrs)
        job.result = stored.words(cells)


if "snakemake" in globals():
    main(snakemake)
