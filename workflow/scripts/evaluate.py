"""Test one job's networks on every test condition, computing only the cells not yet known."""

import json

from passband import config, devices, evaluation, jobs, networks, store, table
from passband.examples import Camera, Split
from passband.grid import conditions
from passband.seeds import digest

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["evaluate", *wildcards])

with jobs.job(
    name, snakemake.log[0], snakemake.threads, snakemake.config, snakemake.resources.runtime
) as job:
    device = devices.device()
    of = {key: wildcards[key] for key in ("specimen", "architecture", "condition")}
    weights, metadata = networks.load(snakemake.input.weights, of)
    microscope = config.Microscope(**params.microscope)
    camera = Camera.of(microscope, metadata["normalisation"], device)
    splits = {
        specimen: Split.load(files, (params.seed, specimen, "test"), microscope, device)
        for specimen, files in params.waves.items()
    }
    how = {key: metadata[key] for key in ("architecture", "normalisation", "precision")}
    counted_by = [params.version, params.microscope, how, devices.describe(device)]
    fingerprint = networks.fingerprint(weights)
    contexts = {
        specimen: digest(counted_by, fingerprint, split.digest)
        for specimen, split in splits.items()
    }
    test = conditions(params.test)
    known = table.known(params.kept, contexts)
    if known is not None and table.covers(known, list(weights), list(splits), test):
        store.link(params.kept, snakemake.output[0])
        job.leave(f"{len(weights)} network(s) on all conditions in {snakemake.output[0]}")
    record = evaluation.evaluate(
        {r: networks.restore(metadata["architecture"], state) for r, state in weights.items()},
        camera,
        splits,
        test,
        job.study.evaluation.batch_size,  # no param, since it changes no result
        metadata["precision"],
        known,
        job.progress,
    )
    for variable, key in (("val_loss", "val_loss"), ("best_epoch", "epoch")):
        record[variable] = ("replica", [metadata["best"][str(r)][key] for r in weights])
    attrs = job.provenance(snakemake.output[0]) | of | {"contexts": json.dumps(contexts)}
    store.write(record, params.kept, store.RECORD, attrs)
    store.link(params.kept, snakemake.output[0])
    taken = [] if known is None else set(known.test.values) & set(record.test.values)
    taken = len(taken) * (0 if known is None else known.sizes["test_specimen"])
    cells = record.sizes["test_specimen"] * record.sizes["test"]
    job.made = (
        f"{len(weights)} network(s) on {cells} conditions, {cells - taken} of them computed, "
        f"in {snakemake.output[0]}"
    )
