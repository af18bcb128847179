"""Draw a contact sheet of a specimen: potential, exit wave, image and masks of its structures."""

from passband import config, devices, figures, gallery, jobs
from passband.examples import Camera, Split
from passband.grid import Condition

# Rows of the sheet: as many as fit a page.
STRUCTURES = 5

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["gallery", *wildcards])

with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    device = devices.device()
    microscope = config.Microscope(**params.microscope)
    camera = Camera.of(microscope, job.study.training.normalisation, device)  # not in the counts
    names = (params.seed, wildcards.specimen, "test")
    split = Split.load([snakemake.input.waves], names, microscope, device, instances=True)
    split = split.first(STRUCTURES)
    specimen = config.Specimen(**params.specimen)
    figure = gallery.sheet(camera, split, specimen, Condition.parse(params.condition), job.progress)
    figures.save(figure, snakemake.output, params.dpi)
    job.made = f"{len(split)} structures in {snakemake.output[0]}"
