"""Train one job's replicas, going on behind those that an interrupted attempt finished."""

import shutil
from functools import partial
from pathlib import Path

import pandas as pd

from passband import config, devices, jobs, networks, store, training
from passband.examples import Camera, Split
from passband.grid import Condition
from passband.seeds import digest, seed

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["train", *wildcards])

with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    condition = Condition.parse(wildcards.condition)
    microscope, settings = (
        config.Microscope(**params.microscope),
        config.Training(**params.training),
    )
    device = devices.device()
    camera = Camera.of(microscope, settings.normalisation, device)
    splits = [
        Split.load(
            snakemake.input[split], (params.seed, wildcards.specimen, split), microscope, device
        )
        for split in ("train", "val")
    ]
    description = {
        "architecture": wildcards.architecture,
        "specimen": wildcards.specimen,
        "condition": wildcards.condition,
        "normalisation": settings.normalisation,
        "precision": devices.precision(settings.precision, device),
        "device": devices.describe(device),
    }
    context = digest(
        params.version,
        params.microscope,
        params.training,
        description,
        [split.digest for split in splits],
    )
    finished = {}
    for replica in params.replicas:
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
        left = Path(params.unfinished) / f"{replica:03d}.safetensors"
        finished[replica] = training.resumable(left, context, train)
        best = finished[replica].best
        job.log(f"replica {replica}: val_loss {best['val_loss']:.4f}, Dice {best['val_dice']:.3f}")
    best = {"best": {replica: trained.best for replica, trained in finished.items()}}
    networks.save(
        {replica: trained.weights for replica, trained in finished.items()},
        snakemake.output.weights,
        description | best | job.provenance(snakemake.output.weights),
    )
    rows = [{"replica": r, **row} for r, trained in finished.items() for row in trained.history]
    with store.replacing(snakemake.output.history) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False)
    shutil.rmtree(params.unfinished, ignore_errors=True)
    job.made = f"{len(finished)} network(s) in {snakemake.output.weights}"
