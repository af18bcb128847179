"""Reuse of results: a job ends without work if an earlier job has made the same file.

Snakemake deletes a job's outputs before the job starts and after it fails. A file that takes long
to make is therefore written to the study's cache, and the job's output is a hard link to the file
in the cache. Each file has an attribute `context`, which is a digest of all values that the file
was made from. If the cache has a file with the context of a later job, the later job links its
output to that file and ends.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.grid import Condition
from passband.jobs.job import Job
from passband.seeds import digest
from passband.storage import atomic, datasets

if TYPE_CHECKING:
    import xarray as xr

    from passband.storage.weights import WeightsMetadata


def exit_waves(job: Job, cached: str, output: str, context: str) -> None:
    """End the job if the cache has the exit waves that the job would make.

    Raises
    ------
    NewerError
        If a newer version of Passband wrote the file, which must not be overwritten.
    """
    if datasets.has_context(cached, datasets.WAVES, context):
        atomic.link(cached, output)
        job.finish_early(f"exit waves in {output}")


def networks(
    job: Job, cached: str, weights: str, history: str, checkpoints: str, context: str
) -> None:
    """End the job if the cache has the networks that the job would train.

    The parameters are those of :func:`hand_over_networks`.

    Raises
    ------
    NewerError
        If a newer version of Passband wrote the file, which must not be overwritten.
    """
    from passband.storage.weights import matching_metadata  # torch takes seconds to import

    if found := matching_metadata(cached, context):
        hand_over_networks(cached, weights, history, checkpoints, found)
        job.finish_early(f"{len(found.best)} network(s) in {weights}")


def hand_over_networks(
    cached: str, weights: str, history: str, checkpoints: str, metadata: "WeightsMetadata"
) -> None:
    """Make the outputs of a training job from its file in the cache, and remove its saved states.

    Parameters
    ----------
    cached, weights : str
        The file of weights in the cache, and the output for the weights.
    history : str
        The output for the history of the training, a table as CSV.
    checkpoints : str
        Folder of the saved states.
    metadata : WeightsMetadata
        The metadata in the file of weights.
    """
    import pandas as pd

    from passband.learning.checkpoints import clear

    atomic.link(cached, weights)
    with atomic.replacing(history) as beside:
        pd.DataFrame(metadata.history_rows()).to_csv(beside, index=False)
    clear(Path(checkpoints))


def record(
    job: Job,
    cached: str,
    output: str,
    contexts: Mapping[str, str],
    replicas: Sequence[int],
    conditions: Sequence[Condition],
) -> "xr.Dataset | None":
    """End the job if the cache has the whole record that the job would make.

    Otherwise return the valid part of the record in the cache, or None if no part is valid.

    Parameters
    ----------
    job : Job
        The running job.
    cached, output : str
        The path of the record in the cache, and the path of the output.
    contexts : mapping of str to str
        For each test specimen, the digest of all values on which the specimen's counts depend.
    replicas : sequence of int
        Numbers of the replicas.
    conditions : sequence of Condition
        The test conditions.

    Raises
    ------
    NewerError
        If a newer version of Passband wrote the file, which must not be overwritten.
    """
    from passband.analysis import table

    known = table.known(cached, contexts)
    if known is not None and table.covers(known, replicas, list(contexts), conditions):
        atomic.link(cached, output)
        job.finish_early(f"{len(replicas)} network(s) on all conditions in {output}")
    return known


def attributes(job: Job, snakemake, kind: str) -> dict[str, str]:
    """End the job if its only output, a store outside the cache, exists and is valid.

    Otherwise return the attributes of the new store. Snakemake deleted the store before the job
    started. If the store exists now, another job has made the store since then. The other job was
    assumed to have died, or has taken over the work of this job. If the store was made from the
    same params and inputs, this job ends, since other jobs may already read the store.

    Parameters
    ----------
    job : Job
        The running job.
    snakemake : object
        The object that Snakemake passes to a script.
    kind : str
        The kind of store, see :func:`passband.storage.datasets.write`.
    """
    target, times = snakemake.output[0], {}
    for path in snakemake.input:
        with contextlib.suppress(FileNotFoundError):
            times[path] = os.stat(path).st_mtime_ns
    context = digest(dict(snakemake.params.items()), times)
    if datasets.has_context(target, kind, context):
        job.finish_early(target)
    return job.provenance(target) | {"context": context}
