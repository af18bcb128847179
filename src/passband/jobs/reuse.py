"""Reuse of results: a job ends without work if an earlier job has made the same file.

Snakemake deletes a job's outputs before the job starts and after it fails. A file that takes long
to make is therefore written to the study's cache, and the job's output is a hard link to the file
in the cache. Each file has an attribute `context`, which is a digest of all values that the file
was made from. If the cache has a file with the context of a later job, the later job links its
output to that file and ends.

A job fails with NewerError if a newer version of Passband wrote its file, which must not be
overwritten, and with UnreachableError if a file in the cache cannot be read now.
"""

import contextlib
import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from passband.cache import regrouping
from passband.cache.record_job import RecordJob
from passband.cache.regrouping import NetworkJob, Parts, Shard
from passband.jobs.job import Job
from passband.learning.checkpoints import clear
from passband.seeds import digest
from passband.storage import atomic, datasets
from passband.storage.weights import Part, save_parts

if TYPE_CHECKING:
    import xarray as xr


def exit_waves(job: Job, shard: Shard, output: str, attrs: Mapping[str, str]) -> "list[xr.Dataset]":
    """End the job if the cache has the exit waves that the job would make.

    Otherwise return those that are in the cache, see :meth:`Shard.find`.
    """
    if datasets.has_context(shard.own, datasets.WAVES, shard.context()):
        atomic.link(shard.own, output)
        job.finish_early(f"exit waves in {output}")
    found = shard.find()
    if sum(waves.sizes["structure"] for waves in found) == len(shard.structures):
        shard.write(found, output, attrs)
        job.finish_early(f"exit waves in {output}")
    return found


@dataclass(frozen=True)
class NetworkFiles:
    """The networks that a `train` job trains, and its files.

    Attributes:
        networks: The networks, and their file in the cache.
        weights, history: The outputs for the networks, and for the history of their training, a
            table as CSV.
        checkpoints: Folder of the saved states.
    """

    networks: NetworkJob
    weights: str
    history: str
    checkpoints: str

    @property
    def result(self) -> str:
        """The job's result in words."""
        return f"{len(self.networks)} network(s) in {self.weights}"

    def write_single(self, condition: str, part: Part, provenance: Mapping) -> None:
        """Write the networks of one condition of a job of several to the cache."""
        path = regrouping.single(self.networks.own, condition)
        regrouping.write_single(partial(save_parts, {condition: part}, path, provenance))

    def hand_over(self, parts: Parts, provenance: Mapping | None = None) -> None:
        """Make the outputs of the job, and remove its saved states.

        Args:
            parts: The networks by training condition.
            provenance: The provenance of the file in the cache, which is written first. Without it,
                the file is in the cache already.
        """
        own = self.networks.own
        if provenance is not None:
            save_parts(parts, own, provenance)
        atomic.link(own, self.weights)
        with atomic.replacing(self.history) as beside:
            _write_history(parts, beside)
        if len(parts) > 1:
            regrouping.remove_single(regrouping.single(own, condition) for condition in parts)
        clear(Path(self.checkpoints))


def _write_history(parts: Mapping[str, Part], path: Path) -> None:
    """Write the history of training. With several conditions, the first column is the condition."""
    rows = [
        ({"condition": id} if len(parts) > 1 else {}) | row
        for id, part in parts.items()
        for row in part.metadata.history_rows()
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            # A loss of NaN is an empty field.
            writer.writerow({key: "" if value != value else value for key, value in row.items()})


def networks(job: Job, files: NetworkFiles) -> dict[str, list[Part]]:
    """End the job if the cache has all networks that the job would train.

    Otherwise return the networks that are in the cache, see :meth:`NetworkJob.find`.
    """
    if parts := files.networks.whole():
        files.hand_over(parts)
        job.finish_early(files.result)
    found = files.networks.find()
    if sum(len(part.weights) for parts in found.values() for part in parts) == len(files.networks):
        parts = {id: files.networks.joined(id, of_id) for id, of_id in found.items()}
        files.hand_over(parts, job.provenance(files.weights))
        job.finish_early(files.result)
    return found


def record(job: Job, tested: RecordJob, output: str, attrs: Mapping[str, str]) -> None:
    """End the job if the cache has all results of the record that the job would make."""
    if parts := tested.whole():
        tested.hand_over(parts, output)
    elif parts := tested.found_whole():
        tested.write(parts, output, attrs)
    if parts:
        job.finish_early(f"{len(tested)} network(s) on all conditions in {output}")


def attributes(job: Job, snakemake, kind: str) -> dict[str, str]:
    """End the job if its only output, a store outside the cache, exists and is valid.

    Otherwise return the attributes of the new store. Snakemake deleted the store before the job
    started. If the store exists now, another job has made the store since then. The other job was
    assumed to have died, or has taken over the work of this job. If the store was made from the
    same params and inputs, this job ends, since other jobs may already read the store.

    Args:
        snakemake: The object that Snakemake passes to a script.
        kind: The kind of store, see :func:`passband.storage.datasets.write`.
    """
    target, times = snakemake.output[0], {}
    for path in snakemake.input:
        with contextlib.suppress(FileNotFoundError):
            times[path] = os.stat(path).st_mtime_ns
    context = digest(dict(snakemake.params.items()), times)
    if datasets.has_context(target, kind, context):
        job.finish_early(target)
    return job.provenance(target) | {"context": context}
