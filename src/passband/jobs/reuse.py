"""Ends a job without work if what it would make is in the study's store, see `passband.store`.

A job fails with NewerError if a newer version of Passband wrote its file, which must not be
overwritten, and with UnreachableError if a file in the store cannot be read now.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.jobs.running import Running
from passband.storage import atomic
from passband.storage.partial_record import PartialRecord
from passband.storage.weights import Part
from passband.store import files
from passband.store.networks import StoredNetworks
from passband.store.recipe import Recipe
from passband.store.results import StoredResults
from passband.store.waves import StoredWaves

if TYPE_CHECKING:
    import xarray as xr


def exit_waves(
    job: Running, stored: StoredWaves, structures: range, output: str
) -> "list[xr.Dataset]":
    """End the job if the store has the exit waves of these structures.

    Otherwise return those that are in the store, see :meth:`StoredWaves.find`.
    """
    if path := stored.whole(structures):
        atomic.link(path, output)
        job.finish_early(f"exit waves in {output}")
    found = stored.find(structures)
    if sum(waves.sizes["structure"] for waves in found) == len(structures):
        hand_over_waves(job, stored, structures, parts=found, output=output)
        job.finish_early(job.result)
    return found


def hand_over_waves(
    job: Running,
    stored: StoredWaves,
    structures: range,
    parts: "Sequence[xr.Dataset]",
    output: str,
) -> None:
    """Write the exit waves of a job to the store, and make its output from them."""
    path = stored.put(structures, parts, job.provenance(output))
    atomic.link(path, output)
    particles = sum(int(part.particles.sum()) for part in parts) / len(structures)
    job.result = f"{len(structures)} exit waves of {particles:.1f} particles in {output}"


def networks(job: Running, stored: StoredNetworks) -> dict[str, list[Part]]:
    """End the job if the store has all networks that the job would train.

    Otherwise return the networks that are in the store, see :meth:`StoredNetworks.find`.
    """
    if parts := stored.whole():
        stored.hand_over(parts)
        job.finish_early(stored.result)
    found = stored.find()
    if sum(len(part.weights) for parts in found.values() for part in parts) == len(stored):
        parts = {id: stored.joined(of_id) for id, of_id in found.items()}
        stored.put(parts, job.provenance(str(job.results.weights(stored.batch))))
        job.finish_early(stored.result)
    return found


def results(
    job: Running, stored: StoredResults, output: Path, attrs: Mapping[str, str]
) -> dict[str, PartialRecord]:
    """End the job if the store has all results of the record that the job would make.

    Otherwise return the results that are in the store, see :meth:`StoredResults.find`.
    """
    done = f"{len(stored)} network(s) on all conditions in {output}"
    if parts := stored.whole():
        stored.hand_over(parts, output)
        job.finish_early(done)
    found = stored.find()
    if not any(record.missing for record in found.values()):
        parts = {id: stored.finished(id, record) for id, record in found.items()}
        stored.put(parts, attrs, output)
        job.finish_early(done)
    return found


def attributes(job: Running, snakemake, kind: str) -> dict[str, str]:
    """End the job if its only output, which the study's store does not keep, exists and is valid.

    Otherwise return the attributes of the new output. Snakemake deleted the output before the job
    started. If it exists now, another job has made it since then. The other job was assumed to have
    died, or has taken over the work of this job. If the output was made from the same params and
    inputs, this job ends, since other jobs may already read it.

    Args:
        snakemake: The object that Snakemake passes to a script.
        kind: The kind of the output, see :func:`passband.storage.datasets.write`.
    """
    target = snakemake.output[0]
    times = {}
    for path in snakemake.input:
        with contextlib.suppress(FileNotFoundError):
            times[path] = os.stat(path).st_mtime_ns
    recipe = Recipe(kind, dict(snakemake.params.items()) | times, number=0)
    if files.has_digest(target, kind, recipe.digest):
        job.finish_early(target)
    return job.provenance(target) | {files.DIGEST: recipe.digest}
