"""Compare the transfer functions of all training and test conditions."""

import numpy as np

from passband import config, information, jobs, store
from passband.grid import conditions

params = snakemake.params

with jobs.job("information", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    microscope = config.Microscope(**params.microscope)
    spectra = {}
    if "flat" in params.weights:
        spectra["flat"] = (np.array([0.0]), np.array([params.flat_power]))
    for specimen, files in params.waves.items():
        expected = {"specimen": specimen, "split": "train", "seed": params.seed}
        parts = [
            store.read_many([file], store.WAVES, "structure", expected, ["power"]).power
            for file in files
        ]
        number = sum(power.sizes["structure"] for power in parts)
        mean = sum(power.sum("structure") for power in parts) / number
        spectra[specimen] = (mean.q.values, microscope.sampling.density(mean.values))
    metrics = information.metrics(
        conditions(params.train),
        conditions(params.test),
        microscope,
        params.samples,
        spectra,
        params.seed,
        params.draws,
        params.bands,
    )
    store.write(
        metrics, snakemake.output[0], store.INFORMATION, job.provenance(snakemake.output[0])
    )
    job.made = f"{metrics.sizes['train']} × {metrics.sizes['test']} pairs in {snakemake.output[0]}"
