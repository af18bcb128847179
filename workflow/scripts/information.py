"""Compare the transfer functions of all training and test conditions."""

import numpy as np

from passband import config, information, jobs, store
from passband.grid import conditions

params = snakemake.params

with jobs.job("information", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    spectra = {"flat": (np.array([0.0]), np.array([1.0]))} if "flat" in params.weights else {}
    if "specimen" in params.weights:
        for specimen, files in params.waves.items():
            power = [store.read(file, store.WAVES).power for file in files]
            total = sum(p.sum("structure") for p in power) / sum(
                p.sizes["structure"] for p in power
            )
            spectra[specimen] = (total.q.values, total.values)
    metrics = information.metrics(
        conditions(params.train),
        conditions(params.test),
        config.Microscope(**params.microscope),
        params.samples,
        spectra,
    )
    store.write(
        metrics, snakemake.output[0], store.INFORMATION, job.provenance(snakemake.output[0])
    )
    job.made = f"{metrics.sizes['train']} × {metrics.sizes['test']} pairs in {snakemake.output[0]}"
