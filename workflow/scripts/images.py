"""Write the images of a specimen's split under one condition, one draw of their noise."""

from passband import config, dataset, devices, jobs, store
from passband.examples import Camera, Split
from passband.grid import Condition

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["images", *filter(None, wildcards)])

with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    device = devices.device()
    microscope = config.Microscope(**params.microscope)
    camera = Camera.of(microscope, job.study.training.normalisation, device)  # not in the counts
    names = (params.seed, wildcards.specimen, wildcards.split)
    split = Split.load(snakemake.input, names, microscope, device, instances=True)
    draw = int(wildcards.draw.removeprefix("_draw") or 0)
    images = dataset.images(camera, split, Condition.parse(wildcards.condition), draw)
    store.write(
        images,
        snakemake.output[0],
        store.IMAGES,
        job.provenance(snakemake.output[0]) | {"device": devices.describe(device)},
        {"structure": 1},
        {"structure": min(len(split), dataset.IMAGES_PER_SHARD)},
    )
    job.made = f"{len(split)} images in {snakemake.output[0]}"
