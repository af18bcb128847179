"""Gather all records into the study's table."""

from itertools import product

from passband import jobs, table
from passband.grid import conditions

params = snakemake.params

with jobs.job("aggregate", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    cells = [
        table.Cell(
            specimen,
            architecture,
            train.id,
            tuple(replicas),
            params.record.format(
                specimen=specimen, architecture=architecture, condition=train.id, batch=batch
            ),
        )
        for specimen, architecture, train, (batch, replicas) in product(
            params.specimens, params.architectures, conditions(params.train), params.batches.items()
        )
    ]
    test = [condition.id for condition in conditions(params.test)]
    table.aggregate(
        cells,
        test,
        list(job.study.specimens),
        snakemake.output[0],
        job.provenance(snakemake.output[0]),
        params.allow_incomplete,
        snakemake.threads,
    )
    job.made = f"{len(snakemake.input)} of {len(cells)} records in {snakemake.output[0]}"
