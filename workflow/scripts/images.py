"""Write the images of a specimen's split under one condition, with one draw of noise."""

import re

from passband.grid import Condition
from passband.imaging import export
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.jobs import reuse, running
from passband.learning import devices
from passband.storage import datasets


def main(snakemake):
    wildcards = snakemake.wildcards
    with running.of_rule(snakemake, "images") as job:
        attrs = reuse.attributes(job, snakemake, datasets.IMAGES)
        device = devices.device()
        structures = Structures.of_study(
            job.study, wildcards.specimen, split=wildcards.split, files=snakemake.input
        )
        normalisation = job.study.training.normalisation  # this has no effect on counts
        camera = Acquisition.from_microscope(structures.microscope, normalisation, device)
        condition = Condition.parse(wildcards.condition)
        split = structures.load(device, instances=True).under(condition)
        # The end of the file's name: empty, or for example _replica1_draw3.
        whose = [int(number) for number in re.findall(r"\d+", wildcards.whose)]
        replica, draw = whose or (None, 0)
        images = export.images(camera, split, condition, draw=draw, replica=replica)
        datasets.write(
            images,
            snakemake.output[0],
            kind=datasets.IMAGES,
            attrs=attrs | {"device": devices.describe(device)},
            chunks={"structure": 1},
            shards={"structure": min(len(split), export.IMAGES_PER_SHARD)},
        )
        job.result = f"{len(split)} images in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
