"""Gather all records of a study into its table."""

from passband.analysis import table
from passband.grid import conditions
from passband.jobs import job as jobs
from passband.jobs import layout, reuse
from passband.storage import datasets


def main(snakemake):
    params, output = snakemake.params, snakemake.output[0]
    with jobs.job("aggregate", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        attrs = reuse.attributes(job, snakemake, datasets.TABLE)
        own = params.get("own", {})
        train, test = (
            [condition.id for condition in conditions(axes, own)]
            for axes in (params.train, params.test)
        )
        cells = [
            table.Cell(*trained.cell, trained.replicas, trained.path(params.record))
            for trained in layout.training_jobs(
                params.specimens, params.architectures, train, params.batches
            )
        ]
        table.aggregate(
            cells,
            test,
            list(job.study.specimens),
            output,
            attrs,
            own,
            params.allow_incomplete,
            snakemake.threads,
            test_own=params.get("test_own", False),
        )
        job.result = f"{len(snakemake.input)} of {len(cells)} records in {output}"


if "snakemake" in globals():
    main(snakemake)
