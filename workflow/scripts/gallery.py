"""Draw a contact sheet of a specimen: potential, exit wave, image and masks of its structures."""

from passband.figures import gallery, style
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.jobs import running
from passband.learning import devices
from passband.results import wave_layout

# Number of structures that fit on a page, one in each row.
STRUCTURES = 5


def main(snakemake):
    with running.of_rule(snakemake, "gallery") as job:
        study = job.study
        named = snakemake.wildcards.specimen
        device = devices.device()
        condition = study.middle_condition
        files = [snakemake.input.waves]
        structures = Structures.of_study(study, named, split="test", files=files)
        microscope = structures.microscope.under(condition)
        normalisation = study.training.normalisation  # this has no effect on counts
        camera = Acquisition.from_microscope(microscope, normalisation, device)
        split = structures.load(device, instances=True).under(condition).first(STRUCTURES)
        waves = wave_layout.waves_of([condition.id])[0]
        specimen, _, own = wave_layout.simulated(study, named, waves)
        figure = gallery.sheet(
            camera, split, specimen, condition=condition, progress=job.progress, own=own
        )
        style.save(figure, snakemake.output, study.figures.dpi)
        job.result = f"{len(split)} structures in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
