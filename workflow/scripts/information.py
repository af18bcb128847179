"""Compare the transfer functions of all training and test conditions."""

from passband import config
from passband.analysis import mixture_metrics
from passband.analysis.spectra import flat_spectrum, mean_spectrum
from passband.jobs import reuse, running
from passband.storage import datasets


def main(snakemake):
    with running.of_rule(snakemake, "information") as job:
        attrs = reuse.attributes(job, snakemake, datasets.INFORMATION)
        study = job.study
        spectra = {"flat": flat_spectrum()}
        for specimen in study.trained_specimens:
            spectra[specimen] = mean_spectrum(job.results.spectrum_structures(specimen))
        metrics = mixture_metrics.metrics(
            train=study.train_conditions,
            mixtures=study.mixtures,
            test=study.test_conditions,
            microscope=config.Microscope(**study.microscope.transfer_params()),
            spectra=spectra,
            seed=study.study.seed,
            bands=study.information.bands_per_A,
            parts=study.known_parts,
        )
        output = snakemake.output[0]
        datasets.write(metrics, output, kind=datasets.INFORMATION, attrs=attrs)
        job.result = f"{metrics.sizes['train']} × {metrics.sizes['test']} pairs in {output}"


if "snakemake" in globals():
    main(snakemake)
