"""Draw the transfer functions of the training grid."""

from passband import config
from passband.axes import Axes
from passband.figures import ctf, style
from passband.grid import conditions
from passband.jobs import job as jobs


def main(snakemake):
    params = snakemake.params
    with jobs.job("figure_ctf", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        figure = ctf.ctf_curves(
            conditions(params.train, Axes(params.get("own", {}))),
            config.Microscope(**params.microscope),
            params.spacings,
            style.width_cm(params),
        )
        style.save(figure, snakemake.output, params.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
