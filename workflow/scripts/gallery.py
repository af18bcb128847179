"""Draw a contact sheet of a specimen: potential, exit wave, image and masks of its structures."""

from passband.figures import gallery, style
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.jobs import job as jobs
from passband.learning import devices

# Number of structures that fit on a page, one in each row.
STRUCTURES = 5


def main(snakemake):
    params, wildcards = snakemake.params, snakemake.wildcards
    name = " ".join(["gallery", *wildcards])
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
        device = devices.device()
        condition = Condition.parse(params.condition)
        waves = [snakemake.input.waves]
        structures = Structures.of_params(params, wildcards.specimen, "test", waves)
        microscope = structures.microscope.under(condition)
        normalisation = job.study.training.normalisation  # this has no effect on counts
        camera = Acquisition.from_microscope(microscope, normalisation, device)
        split = structures.load(device, instances=True).under(condition).first(STRUCTURES)
        specimen, own = job.specimens(params.specimen, microscope.field_px)
        figure = gallery.sheet(camera, split, specimen, condition, job.progress, own)
        style.save(figure, snakemake.output, params.dpi)
        job.result = f"{len(split)} structures in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
