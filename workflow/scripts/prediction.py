"""Judge how well the matrix is predicted, how smooth it is, and what to train."""

import xarray as xr

from passband import completion, design, jobs, prediction, smoothness, store

params, files = snakemake.params, snakemake.input

with jobs.job("prediction", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    metrics = store.read(files.ood, store.OOD)
    information = store.read(files.information, store.INFORMATION)
    distances = store.read(files.distances, store.DISTANCES) if files.distances else None
    sampled = {"confidence": params.confidence, "seed": params.seed}
    predicted = prediction.predict(
        metrics,
        information,
        distances,
        params.bootstrap,
        **sampled,
        progress=job.progress,
        threads=snakemake.threads,
    )
    along = smoothness.monotonicity(metrics, information, params.bootstrap, **sampled)
    with store.reading(files.table, store.TABLE) as table:
        steps = smoothness.steps(table)
        replicas = table.sizes["replica"]
    chosen = design.design(metrics, information, predicted, params.seed)
    rest = completion.completion(metrics, information, replicas, params.seed, job.progress)
    result = xr.merge([predicted, along, steps, chosen, rest], combine_attrs="drop")
    store.write(result, snakemake.output[0], store.PREDICTION, job.provenance(snakemake.output[0]))
    for line in prediction.summary(result).splitlines():
        job.log(line)
    job.made = f"{len(result.data_vars)} variables in {snakemake.output[0]}"
