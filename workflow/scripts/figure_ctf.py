"""Draw the transfer functions of the training grid."""

from passband import config
from passband.figures import ctf, style
from passband.grid import Axes
from passband.jobs import job as jobs


def main(snakemake):
    params = snakemake.params
    with jobs.job("figure_ctf", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        figure = ctf.ctf_curves(
            Axes(params.get("own", {})).conditions(params.train),
            config.Microscope(**params.microscope),
            params.spacings,
            style.width_cm(params),
        )
        style.save(figure, snakemake.output, params.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
