"""Compute the OOD metrics of the study's table."""

from passband.analysis import ood
from passband.jobs import reuse, running
from passband.matrices.of_study import matrices
from passband.storage import datasets


def main(snakemake):
    # The numerical libraries have one thread each, since the metrics use their own threads.
    with running.of_rule(snakemake, "ood", threads=1) as job:
        tested = job.study.evaluation
        attrs = reuse.attributes(job, snakemake, datasets.OOD)
        with datasets.open_checked(snakemake.input.table, datasets.TABLE) as table:
            metrics = ood.metrics(
                matrices(table),
                datasets.read(snakemake.input.information, datasets.INFORMATION),
                confidence=tested.confidence if tested.bootstrap else None,
                progress=job.progress,
                threads=snakemake.threads,
                parts=job.study.known_parts,
            )
        datasets.write(metrics, snakemake.output[0], kind=datasets.OOD, attrs=attrs)
        for name in ("id", "ood"):
            job.log(f"mean {name} Dice {float(metrics[name].mean()):.3f}")
        job.result = f"{len(metrics.data_vars)} variables in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
