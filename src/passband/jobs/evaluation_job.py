"""Tests the networks of an `evaluate` job, and keeps the valid results of earlier records.

The record of a condition's networks is written to the study's cache as soon as it is complete. So a
job that is killed loses the results of one training condition at most. If the networks of one
condition cannot be tested, the job tests those of the other conditions before it fails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import xarray as xr

from passband.cache.record_job import RecordJob
from passband.config import Microscope
from passband.jobs.failures import Failures
from passband.jobs.job import Job
from passband.learning import devices
from passband.learning.evaluation import SharedImages
from passband.learning.replicas import TrainedReplicas, load_test_splits
from passband.storage import records
from passband.storage.records import FIRST


def complete(
    job: Job,
    tested: RecordJob,
    attrs: Mapping[str, str],
    waves: Mapping[str, Sequence[str]],
    seed: int,
    microscope: Microscope,
) -> tuple[dict[str, xr.Dataset], int]:
    """Test networks; return their records by training condition, and the number of new results.

    Args:
        attrs: Provenance, specimen and architecture of the record.
        waves: The files of the test structures, by specimen.

    Returns:
        The records, and the number of pairs of a test specimen and a test condition, or a drawn
        microscope, under which some network was tested now, and not by an earlier job.

    Raises:
        StoreError: If a file is damaged or has other structures or networks.
        PassbandError: If the test of a condition's networks fails. The message names the conditions
            that failed.
    """
    device = devices.device()
    name = devices.describe(device)
    found = tested.find(name, tested.parts)
    splits = load_test_splits(waves, seed, microscope, device)
    # The batch size does not change results, so it is not a param of the rule.
    batch_size = job.study.evaluation.batch_size
    # The networks of a single condition use each image once.
    shared = SharedImages() if len(tested.parts) > 1 else None
    made, computed, failures = {}, set(), Failures(len(tested.parts))
    for condition, part in tested.parts.items():
        known = [(record.replica.values.tolist(), record) for record in found[condition]]
        have = {replica for replicas, _ in known for replica in replicas}
        if missing := [replica for replica in part.weights if replica not in have]:
            known.append((missing, None))
        pieces, lacking, tests = [], set(), tested.tests(condition)
        with failures.collected(condition):
            for replicas, record in known:
                weights = {replica: part.weights[replica] for replica in replicas}
                networks = TrainedReplicas(
                    weights, part.metadata, microscope, splits, device, shared
                )
                piece = networks.evaluate(tests, batch_size, record, job.progress)
                if further := tested.further_tests(replicas):
                    first = replace(networks, weights={FIRST: weights[FIRST]})
                    known_first = records.under_microscopes(record)
                    of_first = first.evaluate(further, batch_size, known_first, job.progress)
                    piece = records.with_microscopes(piece, of_first)
                pieces.append(piece)
                lacking |= tested.lacking(condition, record)
            whole = tested.complete(condition, pieces, name)
            if len(tested.parts) > 1 and lacking:
                tested.write_single(condition, whole, attrs)
            made[condition] = whole
            computed |= lacking
    failures.check("results")
    return made, len(computed)
