"""Draw a contact sheet of a specimen: potential, exit wave, image and masks of its structures."""

from passband.figures import gallery, style
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.jobs import job as jobs
from passband.learning import devices
from passband.results import wave_layout

# Number of structures that fit on a page, one in each row.
STRUCTURES = 5


def main(snakemake):
    params, wildcards = snakemake.params, snakemake.wildcards
    name = " ".join(["gallery", *wildcards])
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
        device = devices.device()
        condition = Condition.parse(params.condition)
        files = [snakemake.input.waves]
        structures = Structures.of_params(params, wildcards.specimen, "test", files)
        microscope = structures.microscope.under(condition)
        normalisation = job.study.training.normalisation  # this has no effect on counts
        camera = Acquisition.from_microscope(microscope, normalisation, device)
        split = structures.load(device, instances=True).under(condition).first(STRUCTURES)
        waves = wave_layout.waves_of([params.condition])[0]
        specimen, _, own = wave_layout.simulated(job.study, wildcards.specimen, waves)
        figure = gallery.sheet(camera, split, specimen, condition, job.progress, own)
        style.save(figure, snakemake.output, params.dpi)
        job.result = f"{len(split)} structures in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
