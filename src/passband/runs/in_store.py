"""Whether what a job makes is in the study's store already, in files of whatever jobs.

Such a job only takes it from there: after `study.replicas_per_job` has changed, for example. Only
names of files and what is in their heads are read, so damage is not noticed.
"""

import zipfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from passband.results import Results, layout, wave_layout
from passband.results.network_batches import NetworkBatch, batches_of
from passband.runs.study_jobs import Job
from passband.storage import StoreError, metadata, weights
from passband.store import files
from passband.store.recipe import Recipes
from passband.store.waves import structures_of


class InStore:
    """What the store of a study has."""

    def __init__(self, results: Results):
        self._results = results
        self._recipes = Recipes(results.study)

    def has(self, job: Job) -> bool:
        """Return whether the store has all that a job makes.

        Of an `evaluate` job, it has the networks, and results of them, perhaps not all.
        """
        if job.rule == "simulate":
            return self._has_waves(job.wildcards)
        if job.rule not in ("train", "evaluate"):
            return False
        batch = self._batches.get(layout.BATCH.format_map(job.wildcards))
        if batch is None or not self._has_networks(batch):
            return False
        return job.rule == "train" or self._has_results(batch)

    @cached_property
    def _batches(self) -> dict[str, NetworkBatch]:
        return {batch.path(layout.BATCH): batch for batch in batches_of(self._results.study)}

    def _has_waves(self, of: Mapping[str, str]) -> bool:
        study = self._results.study
        missing = {*wave_layout.structures_of_shard(study, of["split"], of["shard"])}
        digest = self._recipes.waves(of["specimen"], of["split"], of["waves"].rstrip("/")).digest
        path = self._results.path(layout.stored(layout.WAVES), **{**of, "shard": ""})
        for file in files.listed(path.parent):
            structures = missing.intersection(structures_of(file))
            if structures and _digest(file) == digest:
                missing -= structures
        return not missing

    def _has_networks(self, batch: NetworkBatch) -> bool:
        missing = {id: set(batch.replicas) for id in batch.conditions}
        of = batch.specimen, batch.architecture
        digests = {id: self._recipes.networks(*of, id).digest for id in batch.conditions}
        file = self._results.path(layout.stored(batch.path(layout.WEIGHTS)))
        for path in files.of_networks(file, missing):
            found = weights.recipes_in(path)
            for id in missing.keys() & found.keys():
                if found[id] == digests[id]:
                    missing[id].difference_update(layout.replicas_of(path))
            if not any(missing.values()):
                return True
        return False

    def _has_results(self, batch: NetworkBatch) -> bool:
        missing = {id: set(batch.replicas) for id in batch.conditions}
        file = self._results.path(layout.stored(batch.path(layout.RECORD)))
        return any(path.exists() for path in files.of_networks(file, missing))


def _digest(path: Path) -> str | None:
    """Return the digest of the recipe of a store, or None if it cannot be read."""
    try:
        return metadata.read_attributes(path).get(files.DIGEST)
    except (StoreError, ValueError, KeyError, TypeError, AttributeError, OSError):
        return None
    except zipfile.BadZipFile:
        return None
