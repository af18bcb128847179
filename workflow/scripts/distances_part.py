"""Measure the distances between one specimen's networks and a part of the test conditions."""

from passband import PassbandError, config
from passband.analysis import distances
from passband.grid import Axes
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import tested_structures
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.learning import devices, networks
from passband.results import training_jobs
from passband.storage import datasets


def main(snakemake):
    params, wildcards = snakemake.params, snakemake.wildcards
    name, runtime = " ".join(["distances", *wildcards]), snakemake.resources.runtime
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config, runtime) as job:
        if not snakemake.input.weights:
            raise PassbandError("study.allow_incomplete = true: no network is trained yet")
        attrs = reuse.attributes(job, snakemake, datasets.DISTANCES)
        device, microscope = devices.device(), config.Microscope(**params.microscope)
        _, metadata = networks.load(snakemake.input.weights[0])
        acquisition = Acquisition.from_microscope(microscope, metadata.normalisation, device)
        stored = tested_structures(params).items()
        structures = {name: each.load(device).first(distances.STRUCTURES) for name, each in stored}
        finished, architecture = set(snakemake.input.weights), wildcards.architecture
        group_of = training_jobs.group_by_condition(params.get("groups", {}))

        def load(specimen, condition):
            cell = {"specimen": specimen, "architecture": architecture}
            group = group_of.get(condition.id, condition.id)
            path = params.network.format_map(cell | {"condition": group})
            if path not in finished:
                return None
            return networks.load_first(path, cell | {"condition": condition.id})[0]

        train, test = map(Axes(params.get("own", {})).conditions, (params.train, params.test))
        grid = train, test, acquisition, structures, metadata.precision
        measured = distances.distances(load, wildcards.specimen, *grid, job.progress)
        attrs |= {"specimen": wildcards.specimen, "architecture": architecture}
        datasets.write(measured, snakemake.output[0], datasets.DISTANCES, attrs)
        what = f"{measured.spectral.size} pairs of {measured.attrs['structures']} structures"
        job.result = f"{what} in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
