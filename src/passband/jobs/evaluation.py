"""Tests networks for the results that are missing, in a job and for `passband evaluate`.

A job writes the record of a condition's networks to the study's store as soon as it is complete. So
a job that is killed loses the results of one training condition at most. If the networks of one
condition cannot be tested, the job tests those of the other conditions before it fails.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
import xarray as xr

from passband.config import Study
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import LoadedStructures, Structures
from passband.jobs.failures import Failures
from passband.jobs.running import Running
from passband.learning import devices, evaluation, networks
from passband.learning.evaluation import SharedImages
from passband.learning.heads import found as heads
from passband.mixtures import of_id
from passband.storage.partial_record import PartialRecord
from passband.storage.weights import CellWeights
from passband.store.results import StoredResults


def complete_record(
    study: Study,
    cell: CellWeights,
    found: PartialRecord,
    *,
    structures: Mapping[str, LoadedStructures],
    device: torch.device,
    progress: Callable[[Iterable], Iterable] = iter,
    shared: SharedImages | None = None,
) -> None:
    """Test the networks of a training condition, until a record of them lacks nothing.

    Args:
        cell: The networks.
        found: The record, to which the results are added.
        structures: The test structures by specimen, with their instances for networks with a head.
        shared: The images that the networks of several training conditions share.
    """
    metadata = cell.metadata
    architecture = study.training.architecture(metadata.architecture)
    head = heads.opened(architecture.head) if architecture.head else None
    acquisition = Acquisition.from_microscope(study.microscope, metadata.normalisation, device)
    for replicas, lacking in found.lacking():
        made = evaluation.evaluate(
            {r: networks.restore(architecture, cell.weights[r]) for r in replicas},
            acquisition,
            structures,
            conditions=[of_id(study.mixtures, id) for id in found.tests],
            batch_size=study.evaluation.batch_size,  # it does not change results
            precision=metadata.precision,
            wanted=lacking,
            progress=progress,
            shared=shared,
            head=head,
        )
        found.take(made, lacking[None].repeat(len(replicas), 0))


def complete(
    job: Running,
    stored: StoredResults,
    found: Mapping[str, PartialRecord],
    attrs: Mapping[str, str],
    structures: Mapping[str, Structures],
) -> tuple[dict[str, xr.Dataset], str]:
    """Test the networks of a job, and return their records by training condition.

    Args:
        found: The results that exist, for every condition of the job.
        attrs: Provenance, specimen and architecture of the record.
        structures: The test structures by specimen, with their files.

    Returns:
        The records, and words about them.

    Raises:
        StoreError: If a file is damaged or has other structures or networks.
        PassbandError: If the test of a condition's networks fails. The message names the conditions
            that failed.
    """
    made: dict[str, xr.Dataset] = {}
    computed: set[tuple[str, str]] = set()
    failures = Failures(len(found))
    device = devices.device()
    has_head = stored.recipes.particles
    loaded = {name: each.load(device, instances=has_head) for name, each in structures.items()}
    # The networks of a single condition use each image once.
    shared = SharedImages() if len(found) > 1 else None
    for condition, record in found.items():
        missing = record.missing_pairs
        with failures.collected(condition):
            cell = stored.cells[condition]
            complete_record(
                job.study,
                cell,
                record,
                structures=loaded,
                device=device,
                progress=job.progress,
                shared=shared,
            )
            made[condition] = stored.finished(condition, record)
            if missing and len(found) > 1:
                stored.put_single(condition, made[condition], attrs)
            computed |= set(missing)
    failures.check("results")
    every = {pair for record in found.values() for pair in record.pairs}
    done = f"{len(stored)} network(s) on {len(every)} conditions, {len(computed)} of them computed"
    return made, done
