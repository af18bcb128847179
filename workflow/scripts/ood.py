"""Compute the OOD metrics of the study's table."""

from passband import jobs, ood, store

params = snakemake.params

# The numerical libraries have one thread: the metrics have threads of their own.
with jobs.job("ood", snakemake.log[0], 1, snakemake.config) as job:
    with store.reading(snakemake.input.table, store.TABLE) as table:
        metrics = ood.metrics(
            table,
            store.read(snakemake.input.information, store.INFORMATION),
            params.bootstrap,
            params.confidence,
            params.seed,
            job.progress,
            snakemake.threads,
        )
    store.write(metrics, snakemake.output[0], store.OOD, job.provenance(snakemake.output[0]))
    for name in ("id", "ood"):
        job.log(f"mean {name} Dice {float(metrics[name].mean()):.3f}")
    job.made = f"{len(metrics.data_vars)} variables in {snakemake.output[0]}"
