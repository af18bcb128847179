"""Measure the distances between one specimen's networks and a part of the test conditions."""

from passband.analysis import distances
from passband.errors import PassbandError
from passband.imaging.acquisition import Acquisition
from passband.jobs import reuse, running
from passband.learning import devices, networks
from passband.results import network_batches, shown_networks
from passband.storage import datasets


def main(snakemake):
    params = snakemake.params
    wildcards = snakemake.wildcards
    name = " ".join(["distances", *wildcards])
    runtime = snakemake.resources.runtime
    with running.job(name, snakemake.log[0], snakemake.threads, snakemake.config, runtime) as job:
        if not snakemake.input.weights:
            raise PassbandError("study.allow_incomplete = true: no network is trained yet")
        attrs = reuse.attributes(job, snakemake, datasets.DISTANCES)
        study = job.study
        device = devices.device()
        _, metadata = networks.load(snakemake.input.weights[0], parts=study.known_parts)
        acquisition = Acquisition.from_microscope(study.microscope, metadata.normalisation, device)
        sets = dict.fromkeys([*study.tested_waves, *study.train_waves])
        tested = {name: job.results.structures(name, "test", sets) for name in study.specimens}
        structures = {n: t.load(device).first(distances.STRUCTURES) for n, t in tested.items()}
        finished = set(snakemake.input.weights)
        group_of = network_batches.group_by_condition(network_batches.groups_of(study))
        of_first = str(job.results.folder / shown_networks.first_network(study))

        def load(specimen, condition):
            cell = {"specimen": specimen, "architecture": wildcards.architecture}
            group = group_of.get(condition.id, condition.id)  # a test condition has no group
            path = of_first.format_map(cell | {"condition": group})
            if path not in finished:
                return None
            cell |= {"condition": condition.id}
            return networks.load_first(path, cell, study.known_parts)[0]

        test = study.axes.conditions(params.test["test conditions"])
        grid = study.train_conditions, test, acquisition, structures, metadata.precision
        measured = distances.distances(load, wildcards.specimen, *grid, job.progress)
        attrs |= {name: wildcards[name] for name in ("specimen", "architecture")}
        datasets.write(measured, snakemake.output[0], datasets.DISTANCES, attrs)
        what = f"{measured.spectral.size} pairs of {measured.attrs['structures']} structures"
        job.result = f"{what} in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
