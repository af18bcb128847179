"""Train one job's replicas, going on behind those that an interrupted attempt finished."""

import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

import pandas as pd

from passband import config, devices, jobs, networks, store, training
from passband.examples import Camera, Split
from passband.grid import Condition
from passband.seeds import digest, seed

params, wildcards = snakemake.params, snakemake.wildcards
name = f"train {wildcards.architecture} {wildcards.condition} {wildcards.batch}"

with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    condition = Condition.parse(wildcards.condition)
    settings = config.Training(**params.training)
    device = devices.device()
    camera = Camera.of(config.Microscope(**params.microscope), settings.normalisation, device)
    splits = [
        Split.from_dataset(store.read_many(files, store.WAVES, "structure"), params.seed, device)
        for files in (snakemake.input.train, snakemake.input.val)
    ]
    description = {
        "architecture": wildcards.architecture,
        "specimen": wildcards.specimen,
        "condition": wildcards.condition,
        "normalisation": settings.normalisation,
        "precision": devices.precision(settings.precision, device),
        "device": devices.describe(device),
    }
    context = digest(dict(params), description, *(split.digest for split in splits))
    finished = {}
    for replica in params.replicas:
        path = Path(params.unfinished) / f"{replica:03d}.safetensors"
        names = wildcards.specimen, wildcards.architecture, wildcards.condition, replica
        train = partial(
            training.train,
            wildcards.architecture,
            camera,
            splits,
            condition,
            settings,
            seed(params.seed, *names),
            progress=job.terminal,
        )
        finished[replica] = training.resumable(path, context, train)
        best = finished[replica].best
        job.log(f"replica {replica}: val_loss {best['val_loss']:.4f}, Dice {best['val_dice']:.3f}")
    networks.save(
        {replica: trained.weights for replica, trained in finished.items()},
        snakemake.output.weights,
        description
        | {"best": {r: t.best for r, t in finished.items()}}
        | job.provenance(snakemake.output[0]),
    )
    rows = [{"replica": r, **row} for r, trained in finished.items() for row in trained.history]
    with store.replacing(snakemake.output.history) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False)
    shutil.rmtree(params.unfinished, ignore_errors=True)
    with suppress(OSError):
        os.removedirs(Path(params.unfinished).parent)
    job.made = f"{len(finished)} network(s) in {snakemake.output.weights}"
