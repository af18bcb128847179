"""Test one job's networks on every test condition, computing only the cells not yet known."""

from passband import config, devices, evaluation, jobs, networks, store
from passband.examples import Camera, Split
from passband.grid import conditions
from passband.seeds import digest

params, wildcards = snakemake.params, snakemake.wildcards
name = f"evaluate {wildcards.architecture} {wildcards.condition} {wildcards.batch}"

with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config) as job:
    device = devices.device()
    weights, metadata = networks.load(snakemake.input.weights)
    camera = Camera.of(config.Microscope(**params.microscope), metadata["normalisation"], device)
    splits = {
        specimen: Split.from_dataset(
            store.read_many(files, store.WAVES, "structure"), params.seed, device
        )
        for specimen, files in params.waves.items()
    }
    context = digest(
        {key: value for key, value in dict(params).items() if key != "test"},
        networks.fingerprint(weights),
        {specimen: split.digest for specimen, split in splits.items()},
    )
    known = store.read_same(snakemake.output[0], store.RECORD, context)
    test = conditions(params.test)
    record = evaluation.evaluate(
        {r: networks.restore(metadata["architecture"], state) for r, state in weights.items()},
        camera,
        splits,
        test,
        params.batch_size,
        metadata["precision"],
        known,
        job.progress,
    )
    for variable, key in (("val_loss", "val_loss"), ("best_epoch", "epoch")):
        record[variable] = ("replica", [metadata["best"][str(r)][key] for r in weights])
    store.write(
        record,
        snakemake.output[0],
        store.RECORD,
        job.provenance(snakemake.output[0]) | {"context": context},
    )
    computed = len(test) if known is None else len({c.id for c in test} - set(known.test.values))
    job.made = (
        f"{len(weights)} network(s) on {len(test)} conditions, {computed} of them computed, "
        f"in {snakemake.output[0]}"
    )
