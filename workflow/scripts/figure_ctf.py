"""Draw the transfer functions of the training grid."""

from passband import config, figures, jobs
from passband.grid import conditions

params = snakemake.params

with jobs.job("figure_ctf", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    figure = figures.ctf_curves(
        conditions(params.train), config.Microscope(**params.microscope), params.palette
    )
    figures.save(figure, snakemake.output, params.dpi)
    job.made = snakemake.output[0]
