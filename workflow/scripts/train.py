"""Train one job's replicas, going on from where an interrupted attempt left them."""

import shutil
from pathlib import Path

import pandas as pd

from passband import config, devices, footprint, jobs, memory, networks, sources, store, training
from passband.examples import Camera
from passband.grid import Condition
from passband.seeds import digest, seed

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["train", *wildcards])


def deliver(metadata):
    """Put the kept networks, and the history that is in their metadata, where they belong."""
    store.link(params.kept, snakemake.output.weights)
    with store.replacing(snakemake.output.history) as beside:
        pd.DataFrame(metadata["history"]).to_csv(beside, index=False)
    shutil.rmtree(params.unfinished, ignore_errors=True)


with jobs.job(
    name, snakemake.log[0], snakemake.threads, snakemake.config, snakemake.resources.runtime
) as job:
    condition = Condition.parse(wildcards.condition)
    microscope, settings = (
        config.Microscope(**params.microscope),
        config.Training(**params.training),
    )
    device = devices.device()
    camera = Camera.of(microscope, settings.normalisation, device)
    opened = [
        sources.Stored.open(
            snakemake.input[split], (params.seed, wildcards.specimen, split), microscope, device
        )
        for split in ("train", "val")
    ]
    names = wildcards.specimen, wildcards.architecture, wildcards.condition
    seeds = {replica: seed(params.seed, *names, replica) for replica in params.replicas}
    # Networks are what they are on whichever device they were trained; a state goes on on its own.
    work = [params.version, params.microscope, params.training, names, seeds]
    work = digest(*work, [split.digest for split in opened])
    if metadata := networks.holds(params.kept, work):
        deliver(metadata)
        job.leave(f"{len(seeds)} network(s) in {snakemake.output.weights}")
    splits, hold, room = sources.choose(
        opened, microscope.field_px, 1e6 * snakemake.resources.mem_mb
    )
    job.log(room)
    free = memory.free(device, 1e6 * snakemake.resources.mem_mb)
    if hold:
        free -= footprint.of_images(sum(map(len, splits)), microscope.field_px)
    settings = memory.fit(
        wildcards.architecture, microscope.field_px, settings, device, len(params.replicas), free
    )
    precision = devices.precision(settings.precision, device)
    if precision != "float32":
        job.log(f"{precision}: {devices.speedup(precision, device):.1f} times as fast as float32")
    description = {
        "architecture": wildcards.architecture,
        "specimen": wildcards.specimen,
        "condition": wildcards.condition,
        "normalisation": settings.normalisation,
        "precision": precision,
        "device": devices.describe(device),
    }
    finished = training.train(
        wildcards.architecture,
        camera,
        splits,
        condition,
        settings,
        seeds,
        hold=hold,
        unfinished=Path(params.unfinished),
        context=digest(work, description),
        # What changes no result is no param.
        clock=training.Clock(job.study.training.save_every_s, job.seconds_left),
        progress=job.terminal,
    )
    for replica, trained in finished.items():
        best = trained.best
        job.log(f"replica {replica}: val_loss {best['val_loss']:.4f}, Dice {best['val_dice']:.3f}")
    metadata = {
        **description,
        "context": work,
        "best": {replica: trained.best for replica, trained in finished.items()},
        "history": [{"replica": r, **row} for r, t in finished.items() for row in t.history],
        "stacked": next(iter(finished.values())).stacked,
        **job.provenance(snakemake.output.weights),
    }
    networks.save({r: trained.weights for r, trained in finished.items()}, params.kept, metadata)
    deliver(metadata)
    job.made = f"{len(finished)} network(s) in {snakemake.output.weights}"
