"""Measure the distances of one specimen's networks to some test conditions, of every specimen."""

from passband import PassbandError, config, devices, distances, jobs, networks, store
from passband.examples import Camera, Split
from passband.grid import Condition, conditions

params, wildcards = snakemake.params, snakemake.wildcards
name = " ".join(["distances", *wildcards])

with jobs.job(
    name, snakemake.log[0], snakemake.threads, snakemake.config, snakemake.resources.runtime
) as job:
    if not snakemake.input.weights:
        raise PassbandError("study.allow_incomplete = true: no network to compare is there yet")
    device = devices.device()
    microscope = config.Microscope(**params.microscope)
    _, metadata = networks.load(snakemake.input.weights[0])
    camera = Camera.of(microscope, metadata["normalisation"], device)
    splits = {
        specimen: Split.load(files, (params.seed, specimen, "test"), microscope, device).first(
            params.structures
        )
        for specimen, files in params.waves.items()
    }
    finished = set(snakemake.input.weights)

    def load(specimen, condition):
        of = {"specimen": specimen, "condition": condition.id}
        of |= {"architecture": wildcards.architecture}
        if (path := params.network.format(**of)) not in finished:
            return None
        replicas, _ = networks.load(path, of)
        return networks.restore(wildcards.architecture, next(iter(replicas.values())))

    train, test = conditions(params.train), [Condition.parse(id) for id in params.test]
    measured = distances.distances(
        load, wildcards.specimen, train, test, camera, splits, metadata["precision"], job.progress
    )
    attrs = {"specimen": wildcards.specimen, "architecture": wildcards.architecture}
    attrs |= job.provenance(snakemake.output[0])
    store.write(measured, snakemake.output[0], store.DISTANCES, attrs)
    pairs = measured.sizes["test_specimen"] * len(train) * len(test)
    job.made = (
        f"{pairs} pairs of {len(next(iter(splits.values())))} structures in {snakemake.output[0]}"
    )
