"""Train one job's replicas. If an earlier attempt saved a state, continue from it."""

from pathlib import Path

from passband import config
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.learning import replicas
from passband.learning.deadline import StopCondition
from passband.storage import weights


def main(snakemake):
    params, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output
    name, resources = " ".join(["train", *wildcards]), snakemake.resources
    runtime = resources.runtime
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config, runtime) as job:
        work = replicas.ReplicaJob.open(
            (wildcards.specimen, wildcards.architecture, wildcards.condition),
            config.Microscope(**params.microscope),
            config.Training(**params.training),
            params.seed,
            params.replicas,
            snakemake.input,
        )
        context = work.context(params.version, params.microscope, params.training)
        files = params.cache, output.weights, output.history, params.checkpoints
        reuse.networks(job, *files, context)
        trained, description = work.train(
            context,
            1e6 * resources.mem_mb,
            Path(params.checkpoints),
            # The interval between saves does not change results, so it is not a param of the rule.
            StopCondition(job.study.training.save_every_s, job.seconds_left),
            job.log,
            progress=job.terminal,
        )
        metadata = replicas.metadata(trained, description, context, job.provenance(output.weights))
        weights.save({r: t.weights for r, t in trained.items()}, params.cache, metadata)
        reuse.hand_over_networks(*files, metadata)
        job.result = f"{len(trained)} network(s) in {output.weights}"


if "snakemake" in globals():
    main(snakemake)
