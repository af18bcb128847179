"""Gather all records of a study into its table."""

from passband.analysis import table
from passband.jobs import reuse, running
from passband.mixtures import attributes
from passband.storage import datasets


def main(snakemake):
    output = snakemake.output[0]
    with running.of_rule(snakemake, "aggregate") as job:
        study = job.study
        attrs = reuse.attributes(job, snakemake, datasets.TABLE) | attributes(study.mixtures)
        cells = table.cells_of(job.results)
        table.aggregate(
            cells,
            test=study.test_conditions,
            test_specimens=list(study.specimens),
            path=output,
            attrs=attrs,
            allow_incomplete=study.study.allow_incomplete,
            threads=snakemake.threads,
            test_own=study.evaluation.test_own,
        )
        job.result = f"{len(snakemake.input)} of {len({c.path for c in cells})} records in {output}"


if "snakemake" in globals():
    main(snakemake)
