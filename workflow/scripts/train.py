"""Train one job's networks. If an earlier attempt saved a state, continue from it."""

from pathlib import Path

from passband import config
from passband.cache.identities import NetworkContexts
from passband.cache.regrouping import NetworkJob
from passband.imaging.structures import digests_of_conditions, trained_structures
from passband.jobs import job as jobs
from passband.jobs import reuse


def main(snakemake):
    params, wildcards, resources = snakemake.params, snakemake.wildcards, snakemake.resources
    name, output, waves = " ".join(["train", *wildcards]), snakemake.output, snakemake.input
    runtime, of = resources.runtime, (wildcards.specimen, wildcards.architecture)
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config, runtime) as job:
        splits = trained_structures(params, wildcards.specimen, waves)
        conditions, versions = params.get("conditions", [wildcards.condition]), params.version
        digests = digests_of_conditions(conditions, splits)
        if isinstance(versions, str):  # the same for all conditions
            versions = [versions] * len(conditions)
        versions = dict(zip(conditions, versions, strict=True))
        given = versions, params.microscope, params.training
        together = job.study.training.replicas_together
        contexts = NetworkContexts(*of, *given, params.seed, digests, together)
        networks = NetworkJob(Path(params.cache), contexts, conditions, params.replicas)
        outputs = output.weights, output.history, params.checkpoints
        files = reuse.NetworkFiles(networks, *outputs)
        found = reuse.networks(job, files)

        # These modules import torch, which takes seconds. So a job without work does not need them.
        from passband.jobs import training_job
        from passband.learning.replicas import ReplicaJob

        jobs.cap_threads(snakemake.threads)
        settings = config.Training(**params.training)
        limits = {"replicas": len(params.replicas), "host_bytes": 1e6 * resources.mem_mb}
        trainer = ReplicaJob(splits, wildcards.architecture, settings, **limits, log=job.log)
        parts = training_job.complete(job, files, found, trainer)
        files.hand_over(parts, job.provenance(output.weights))
        job.result = files.result


if "snakemake" in globals():
    main(snakemake)
