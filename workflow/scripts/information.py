"""Compare the transfer functions of all training and test conditions."""

from passband import config
from passband.analysis import mixture_metrics
from passband.analysis.spectra import flat_spectrum, mean_spectrum
from passband.grid import Axes
from passband.imaging.structures import weighting_structures
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.storage import datasets


def main(snakemake):
    params = snakemake.params
    with jobs.job("information", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        attrs = reuse.attributes(job, snakemake, datasets.INFORMATION)
        microscope = config.Microscope(**params.microscope)
        spectra = {"flat": flat_spectrum()}
        for specimen, structures in weighting_structures(params).items():
            spectra[specimen] = mean_spectrum(structures)
        axes = Axes(params.get("own", {}))
        metrics = mixture_metrics.metrics(
            axes.conditions(params.train),
            job.study.mixtures,
            axes.conditions(params.test),
            microscope=microscope,
            spectra=spectra,
            seed=params.seed,
            bands=params.bands,
        )
        datasets.write(metrics, snakemake.output[0], datasets.INFORMATION, attrs)
        job.result = (
            f"{metrics.sizes['train']} × {metrics.sizes['test']} pairs in {snakemake.output[0]}"
        )


if "snakemake" in globals():
    main(snakemake)
