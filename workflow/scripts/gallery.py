"""Draw a contact sheet of a specimen: potential, exit wave, image and masks of its structures."""

import numpy as np
import torch

from passband import config, devices, figures, jobs, simulate
from passband.examples import Camera, Split
from passband.grid import Condition

# Rows of the sheet: as many as fit a page.
STRUCTURES = 5

params, wildcards = snakemake.params, snakemake.wildcards

with jobs.job(
    f"gallery {wildcards.specimen}", snakemake.log[0], snakemake.threads, snakemake.config
) as job:
    microscope = config.Microscope(**params.microscope)
    sampling, specimen = microscope.sampling, config.Specimen(**params.specimen)
    names = (params.seed, wildcards.specimen, "test")
    split = Split.load([snakemake.input.waves], names, microscope, devices.device(), instances=True)
    split = split.first(STRUCTURES)
    camera = Camera.of(microscope, job.study.training.normalisation, split.spectra.device)
    condition = Condition.parse(params.condition)
    # Exit waves are stored, potentials are not: the structures are made again from their seeds.
    structures = [
        simulate.structure(wildcards.specimen, specimen, sampling, params.seed, "test", index)
        for index in job.progress(split.structures)
    ]
    potentials = [simulate.projected_potential(s.atoms, sampling) for s in structures]
    figure = figures.gallery(
        np.stack(potentials),
        sampling.restore(split.spectra.cpu().numpy()),
        torch.cat(list(camera.counts(split, condition))).cpu().numpy(),
        split.instances,
        wildcards.specimen,
        [f"test {index}" for index in split.structures],
        condition.id,
        microscope.pixel_size_A,
    )
    figures.save(figure, snakemake.output, params.dpi)
    job.made = f"{len(split)} structures in {snakemake.output[0]}"
