"""Tests the networks of an `evaluate` job, and keeps the valid results of earlier records.

The record of a condition's networks is written to the study's cache as soon as it is complete. So a
job that is killed loses the results of one training condition at most. If the networks of one
condition cannot be tested, the job tests those of the other conditions before it fails.
"""

from collections.abc import Mapping

import xarray as xr

from passband.imaging.structures import Structures
from passband.jobs.failures import Failures
from passband.jobs.job import Job
from passband.learning import devices
from passband.learning.evaluation import SharedImages
from passband.learning.replicas import TrainedReplicas
from passband.mixtures import of_id
from passband.store.record_job import RecordJob


def complete(
    job: Job,
    tested: RecordJob,
    attrs: Mapping[str, str],
    structures: Mapping[str, Structures],
) -> tuple[dict[str, xr.Dataset], int]:
    """Test networks; return their records by training condition, and the number of new results.

    Args:
        attrs: Provenance, specimen and architecture of the record.
        structures: The test structures by specimen, with their files.

    Returns:
        The records, and the number of pairs of a test specimen and a test condition under which
        some network was tested now, and not by an earlier job.

    Raises:
        StoreError: If a file is damaged or has other structures or networks.
        PassbandError: If the test of a condition's networks fails. The message names the conditions
            that failed.
    """
    made, computed, failures = {}, set(), Failures(len(tested.parts))
    device = devices.device()
    name = devices.describe(device)
    found = tested.find(name, tested.parts)
    loaded = {specimen: each.load(device) for specimen, each in structures.items()}
    # The batch size does not change results, so it is not a param of the rule.
    batch_size = job.study.evaluation.batch_size
    # The networks of a single condition use each image once.
    shared = SharedImages() if len(tested.parts) > 1 else None
    for condition, part in tested.parts.items():
        lacking = tested.lacking(condition, found[condition])
        with failures.collected(condition):
            networks = TrainedReplicas(*part, loaded, device, shared)
            record = networks.complete(
                found[condition],
                [of_id(job.study.mixtures, id) for id in tested.tests[condition]],
                batch_size,
                job.progress,
            )
            record = tested.labelled(condition, record, name)
            if len(tested.parts) > 1 and lacking:
                tested.write_single(condition, record, attrs)
            made[condition] = record
            computed |= lacking
    failures.check("results")
    return made, len(computed)
