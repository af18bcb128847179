"""Trains the networks that a `train` job lacks, under one condition after another.

The networks of a condition are written to the study's store as soon as they are trained. So a
job that is killed, or that reaches its time limit, loses no finished network. If the training under
one condition fails, the job trains the networks of the other conditions before it fails.
"""

from passband import log_lines
from passband.jobs.failures import Failures
from passband.jobs.running import Running
from passband.learning.deadline import StopCondition
from passband.learning.replicas import ReplicaTrainer
from passband.storage.weights import CellWeights
from passband.store.networks import StoredNetworks
from passband.wave_sets import wave_set_of


def complete(
    job: Running,
    stored: StoredNetworks,
    found: dict[str, list[CellWeights]],
    trainer: ReplicaTrainer,
) -> dict[str, CellWeights]:
    """Train the networks that are missing, and return all networks of the job by condition.

    Args:
        found: The networks that exist, for every condition of the job.

    Raises:
        StoppedError: If the job is stopped before its end.
        PassbandError: If the training under a condition fails. The message names the conditions
            that failed.
        DamagedError: If a file of exit waves is damaged.
    """
    stop = StopCondition(budget=job.seconds_left)
    cells: dict[str, CellWeights] = {}
    failures = Failures(len(found))
    provenance = job.provenance(str(job.results.weights(stored.batch)))
    replicas = stored.batch.replicas
    # The networks that need the same exit waves follow each other.
    in_order = sorted(found, key=wave_set_of)
    for number, condition in enumerate(in_order, 1):
        known = found[condition]
        folder = stored.checkpoints
        if len(found) > 1:
            folder /= condition
        # A file's networks are tested in one precision.
        kept = [cell for cell in known if cell.metadata.precision == trainer.precision]
        if sum(len(cell.weights) for cell in known) == len(replicas):
            kept = known
        have = {replica for cell in kept for replica in cell.weights}
        missing = [replica for replica in replicas if replica not in have]
        with failures.collected(condition):
            if missing:
                if len(found) > 1:
                    job.log(log_lines.condition(number, len(found), condition))
                seeds = stored.seeds(condition, missing)
                recipe = stored.recipes[condition].digest
                under = job.study.trained_under(condition)
                kept.append(trainer.train(under, seeds, recipe, folder, stop, job.terminal))
            cell = stored.joined(kept)
            if missing and len(found) > 1:
                stored.put_single(condition, cell, provenance)
            cells[condition] = cell
    failures.check("networks")
    return {condition: cells[condition] for condition in found}
