"""Draw the transfer functions of the training grid."""

from passband import config
from passband.figures import ctf, style
from passband.jobs import job as jobs


def main(snakemake):
    with jobs.job("figure_ctf", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        study = job.study
        lens = config.Microscope(**study.microscope.lens_params())
        figure = ctf.ctf_curves(
            study.train_conditions, lens, study.spacings, study.figures.width_cm
        )
        style.save(figure, snakemake.output, study.figures.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
