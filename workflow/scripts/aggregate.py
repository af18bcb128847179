"""Gather all records of a study into its table."""

from passband.analysis import table
from passband.grid import Axes
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.mixtures import attributes
from passband.results import training_jobs
from passband.storage import datasets


def main(snakemake):
    params, output = snakemake.params, snakemake.output[0]
    with jobs.job("aggregate", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        attrs = reuse.attributes(job, snakemake, datasets.TABLE) | attributes(job.study.mixtures)
        axes = Axes(params.get("own", {}))
        train = [condition.id for condition in axes.conditions(params.train)]
        train += params.get("mixtures", [])
        # In studies with one training condition in a job, the group has the condition's id.
        groups = params.get("groups", {id: [id] for id in train})
        found = training_jobs.jobs(params.specimens, params.architectures, groups, params.batches)
        cells = [
            table.Cell(of.specimen, of.architecture, id, of.replicas, of.path(params.record))
            for of in found
            for id in of.conditions
        ]
        table.aggregate(
            cells,
            axes.conditions(params.test),
            list(job.study.specimens),
            output,
            attrs,
            params.allow_incomplete,
            snakemake.threads,
            test_own=params.get("test_own", False),
        )
        job.result = f"{len(snakemake.input)} of {len({c.path for c in cells})} records in {output}"


if "snakemake" in globals():
    main(snakemake)
