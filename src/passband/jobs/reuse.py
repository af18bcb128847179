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
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from passband.jobs import regrouping
from passband.jobs.job import Job
from passband.jobs.record_job import RecordJob, has_others, keep_others
from passband.jobs.regrouping import Shard
from passband.learning.checkpoints import clear
from passband.learning.identities import NetworkContexts, usual_devices
from passband.seeds import digest
from passband.storage import atomic, datasets, records
from passband.storage.weight_parts import Part, save_parts

if TYPE_CHECKING:
    import xarray as xr


#: How often the file of a single condition is written, see :func:`_write_partial`.
_TRIALS = 100


def exit_waves(job: Job, shard: Shard, output: str, attrs: Mapping[str, str]) -> "list[xr.Dataset]":
    """End the job if the cache has the exit waves that the job would make.

    Otherwise return those that are in the cache, see :meth:`Shard.find`.
    """
    if datasets.has_context(shard.own, datasets.WAVES, shard.context()):
        atomic.link(shard.own, output)
        job.finish_early(f"exit waves in {output}")
    found = shard.find()
    if sum(waves.sizes["structure"] for waves in found) == len(shard.structures):
        write_exit_waves(shard, found, output, attrs)
        job.finish_early(f"exit waves in {output}")
    return found


def write_exit_waves(
    shard: Shard, parts: "Sequence[xr.Dataset]", output: str, attrs: Mapping[str, str]
) -> "xr.Dataset":
    """Write a shard of exit waves to the cache, link the output to it, and return its content."""
    waves = datasets.concatenated(parts, "structure")
    shard.keep_others()
    attrs = {**attrs, "context": shard.context()}
    datasets.write(waves, shard.own, datasets.WAVES, attrs, {"structure": 1})
    atomic.link(shard.own, output)
    return waves


@dataclass(frozen=True)
class NetworkFiles:
    """The files of a `train` job.

    Attributes:
        cached, weights: The file of networks in the cache, and the output for the networks.
        history: The output for the history of the training, a table as CSV.
        checkpoints: Folder of the saved states.
    """

    cached: str
    weights: str
    history: str
    checkpoints: str

    def _partial(self, condition: str) -> Path:
        """Return the file in the cache for the finished networks of one condition of the job.

        If the job has this condition only, this is the job's own file in the cache.
        """
        own = Path(self.cached)
        return own.parents[1] / condition / own.name

    def write_partial(self, condition: str, part: Part, provenance: Mapping) -> None:
        """Write the networks of one condition of a job to the cache."""
        _write_partial(partial(save_parts, {condition: part}, self._partial(condition), provenance))

    def hand_over(self, parts: Mapping[str, Part], provenance: Mapping | None = None) -> None:
        """Make the outputs of the job, and remove its saved states.

        Args:
            parts: The networks by training condition.
            provenance: The provenance of the file in the cache, which is written first. Without it,
                the file is in the cache already.
        """
        if provenance is not None:
            save_parts(parts, self.cached, provenance)
        atomic.link(self.cached, self.weights)
        with atomic.replacing(self.history) as beside:
            _write_history(parts, beside)
        if len(parts) > 1:
            _remove_partial(map(self._partial, parts))
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


def _write_partial(write: Callable[[], None]) -> None:
    """Write the file of a single condition of a job to the cache.

    Another job with further replicas of this condition may remove its own file, and then the empty
    folder, before this job writes to the same folder. Then this job writes again.
    """
    for _ in range(_TRIALS):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return write()
    return write()


def _remove_partial(paths: Iterable[Path]) -> None:
    """Remove files of single conditions from the cache, after their content is in a group's file.

    A file with a second name is an output of a job of one condition, and is kept. An empty folder
    is removed, see :func:`_write_partial`.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_nlink == 1:
                path.unlink()
            path.parent.rmdir()  # fails if the folder has other files


def networks(
    job: Job,
    files: NetworkFiles,
    contexts: NetworkContexts,
    conditions: Sequence[str],
    replicas: Sequence[int],
) -> dict[str, list[Part]]:
    """End the job if the cache has all networks that the job would train.

    Otherwise return the networks that are in the cache, see
    :func:`passband.jobs.regrouping.find_networks`.
    """
    result = f"{len(conditions) * len(replicas)} network(s) in {files.weights}"
    if parts := regrouping.whole(files.cached, contexts, conditions, replicas):
        files.hand_over(parts)
        job.finish_early(result)
    found = regrouping.find_networks(files.cached, contexts, conditions, replicas)
    if all(sum(len(part.weights) for part in found[id]) == len(replicas) for id in conditions):
        parts = {
            id: regrouping.joined(found[id], contexts.context(id, replicas)) for id in conditions
        }
        files.hand_over(parts, job.provenance(files.weights))
        job.finish_early(result)
    return found


def record(job: Job, tested: RecordJob, output: str, attrs: Mapping[str, str]) -> None:
    """End the job if the cache has all results of the record that the job would make.

    The results may have been made on another kind of CPU, or on the kind of device that trained the
    networks. Only this comparison needs no torch.
    """
    devices = {id: usual_devices(part.metadata) for id, part in tested.parts.items()}
    number = sum(len(part.weights) for part in tested.parts.values())
    result = f"{number} network(s) on all conditions in {output}"
    if parts := tested.whole(devices):
        _hand_over_record(tested, parts, output)
        job.finish_early(result)
    complete = {}
    for device in dict.fromkeys(name for names in devices.values() for name in names):
        left = [id for id in tested.parts if id not in complete and device in devices[id]]
        if not left:
            continue
        for id, records_of in tested.find(device, left).items():
            replicas = {r for each in records_of for r in each.replica.values.tolist()}
            lacking = any(tested.lacking(id, each) for each in records_of)
            if replicas == {*tested.parts[id].weights} and not lacking:
                complete[id] = complete_record(tested, id, records_of, device)
    if len(complete) == len(tested.parts):
        write_record(tested, {id: complete[id] for id in tested.parts}, output, attrs)
        job.finish_early(result)


def complete_record(
    tested: RecordJob, condition: str, found: Sequence["xr.Dataset"], device: str
) -> "xr.Dataset":
    """Return the record of a condition's networks from complete records of some replicas each."""
    tests = [test.id for test in tested.tests(condition)]
    pieces = []
    for record in found:
        further = [c.id for c in tested.further_tests(record.replica.values.tolist())]
        pieces.append(records.selected(record, list(tested.splits), tests, further))
    whole = records.joined(pieces)
    contexts = json.dumps(tested.contexts(condition, device))
    return whole.assign_attrs(condition=condition, contexts=contexts)


def write_record(
    tested: RecordJob, parts: Mapping[str, "xr.Dataset"], output: str, attrs: Mapping[str, str]
) -> None:
    """Write the record of a job to the cache, and link the output to it."""
    keep_others(tested.own, parts)
    records.write(parts, tested.own, attrs)
    _hand_over_record(tested, parts, output)


def _hand_over_record(tested: RecordJob, parts: Mapping[str, "xr.Dataset"], output: str) -> None:
    """Link the output of a job to its record, and remove the records of its single conditions."""
    atomic.link(tested.own, output)
    if len(parts) > 1:
        single = {_partial_record(tested, id): {id: part} for id, part in parts.items()}
        _remove_partial(path for path, part in single.items() if not has_others(path, part))


def write_partial_record(
    tested: RecordJob, condition: str, record: "xr.Dataset", attrs: Mapping[str, str]
) -> None:
    """Write the record of one condition of a job to the cache."""
    path, part = _partial_record(tested, condition), {condition: record}
    keep_others(path, part)
    _write_partial(partial(records.write, part, path, attrs))


def _partial_record(tested: RecordJob, condition: str) -> Path:
    return tested.own.parents[1] / condition / tested.own.name


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
