"""Measures the distances between networks in a job."""

from collections.abc import Collection, Sequence
from pathlib import Path

import xarray as xr
from torch import nn

from passband.analysis import distances
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.jobs.running import Running
from passband.learning import devices, networks
from passband.results import shown_networks


def measure(
    job: Running,
    specimen: str,
    architecture: str,
    *,
    tests: Sequence[str],
    files: Collection[str],
) -> xr.Dataset:
    """Return the distances between a specimen's networks and those of some test conditions.

    Args:
        tests: Ids of the test conditions.
        files: The files of all networks that are there, see
            :func:`passband.results.shown_networks.compared_networks`.
    """
    study = job.study
    known = study.known_parts
    _, metadata = networks.load(next(iter(files)), parts=known)
    device = devices.device()
    sets = dict.fromkeys([*study.tested_waves, *study.train_waves])
    tested = {name: job.results.structures(name, "test", sets) for name in study.specimens}
    file_of = shown_networks.first_files(job.results, architecture)
    there = {Path(file) for file in files}

    def load(name: str, condition: Condition) -> nn.Module | None:
        file = file_of.get((name, condition.id))  # a test condition need not have networks
        if file not in there:
            return None
        cell = {"specimen": name, "architecture": architecture, "condition": condition.id}
        return networks.load_first(file, cell, known)[0]

    return distances.distances(
        load,
        specimen,
        train=study.train_conditions,
        test=study.axes.conditions(tests),
        camera=Acquisition.from_microscope(study.microscope, metadata.normalisation, device),
        structures={
            name: each.load(device).first(distances.STRUCTURES) for name, each in tested.items()
        },
        precision=metadata.precision,
        progress=job.progress,
    )
