"""Ends a job without work if what it would make is in the study's store, see `passband.store`.

A job fails with NewerError if a newer version of Passband wrote its file, which must not be
overwritten, and with UnreachableError if a file in the store cannot be read now.
"""

import contextlib
import os
from collections.abc import Mapping

from passband.jobs.running import Running
from passband.store import files
from passband.store.recipe import Recipe
from passband.store.stored import Found, Made, Stored


def or_end(job: Running, stored: Stored[Found, Made], attrs: Mapping[str, str]) -> Found:
    """End the job if the store has all that it would make; otherwise return what the store has.

    Args:
        attrs: The attributes of the job's file in the store, if it is made from files of others.
    """
    made = stored.whole()
    if made is None:
        found = stored.find()
        made = stored.complete(found)
        if made is None:
            return found
        stored.put(made, attrs)
    else:
        stored.hand_over(made)
    job.finish_early(stored.words(made))


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
