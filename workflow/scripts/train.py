"""Train one job's networks. If an earlier attempt saved a state, continue from it."""

from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.results import training_jobs, wave_layout
from passband.store.networks import StoredNetworks


def main(snakemake):
    wildcards = snakemake.wildcards
    resources = snakemake.resources
    name = " ".join(["train", *wildcards])
    runtime = resources.runtime
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config, runtime) as job:
        stored = StoredNetworks(job.results, training_jobs.job_of(job.study, wildcards))
        found = reuse.networks(job, stored)

        # These modules import torch, which takes seconds. So a job without work does not need them.
        from passband.jobs import training_job
        from passband.learning.replicas import ReplicaJob

        jobs.cap_threads(snakemake.threads)
        sets = wave_layout.waves_of(stored.job.conditions)
        trainer = ReplicaJob(
            [job.results.structures(wildcards.specimen, split, sets) for split in ("train", "val")],
            wildcards.architecture,
            job.study.training,
            replicas=len(stored.job.replicas),
            host_bytes=1e6 * resources.mem_mb,
            log=job.log,
        )
        parts = training_job.complete(job, stored, found, trainer)
        stored.put(parts, job.provenance(snakemake.output.weights))
        job.result = stored.result


if "snakemake" in globals():
    main(snakemake)
