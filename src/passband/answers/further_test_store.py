"""Which results of further conditions are valid, and all of them in one Dataset.

See :mod:`passband.answers.further_tests`.
"""

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from passband import STAGES
from passband.config import Study
from passband.results import Results, layout
from passband.results.training_jobs import TrainingCell, TrainingJob
from passband.scores import OUTCOMES, dice
from passband.seeds import digest
from passband.storage import DamagedError, NewerError, json_text, records, weights
from passband.storage.weights import load_parts
from passband.wave_sets import wave_set_of


class Fingerprints:
    """Fingerprints of a study's networks. Each file of networks is read once, by any thread."""

    def __init__(self, results: Results):
        self._results, self._lock = results, threading.Lock()
        self._known: dict[Path, dict[str, dict[int, str]]] = {}

    def of(self, cell: TrainingCell) -> dict[int, str]:
        """Return the fingerprints by replica; none if the file is missing, damaged or newer."""
        path = self._results.weights(cell.job)
        with self._lock:
            if path not in self._known:
                parts = {}
                # A file that cannot be read now may be intact, so this error is raised.
                with contextlib.suppress(DamagedError, NewerError):
                    parts = load_parts(path) if path.exists() else {}
                self._known[path] = {id: fingerprints(part.weights) for id, part in parts.items()}
            return self._known[path].get(cell.condition, {})


def fingerprints(states: Mapping[int, Mapping]) -> dict[int, str]:
    """Return the fingerprint of each replica's weights."""
    return {replica: weights.fingerprint({0: state}) for replica, state in states.items()}


def found(
    results: Results,
    cell: TrainingCell,
    read: Callable[[Path], xr.Dataset | None],
    networks: Fingerprints,
) -> list[xr.Dataset]:
    """Return the valid further results of networks of a condition, whichever job made them.

    A store has the results of the replicas of one job. If the number of replicas in a job changes,
    the results are in several stores. The newest store of a replica has all its results, since a
    job keeps the earlier ones.

    Args:
        read: Returns the content of a store, or None to ignore the store.
        networks: The networks, which are read only if a store was made for other jobs.

    Returns:
        Results of some of the replicas each. No replica is in two of them.
    """
    missing, pieces = set(cell.job.replicas), []
    for path in _files(results.extra(cell), missing):
        record = read(path) if missing else None
        if record is None or (record := _valid(results, cell, record, networks)) is None:
            continue
        replicas = [replica for replica in record.replica.values.tolist() if replica in missing]
        if replicas:
            pieces.append(records.with_replicas(record, replicas))
            missing -= set(replicas)
    return pieces


def _files(own: Path, replicas: Collection[int]) -> list[Path]:
    """Return the stores of a condition whose names have one of the replicas, the newest first."""
    paths = [
        path
        for path in own.parent.glob("r*.zarr.zip")
        if not set(replicas).isdisjoint(layout.replicas_of(path))
    ]
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path == own), reverse=True)


def _valid(
    results: Results, cell: TrainingCell, record: xr.Dataset, networks: Fingerprints
) -> xr.Dataset | None:
    """Return the part of a store that is valid for a training job's networks, or None.

    Test structures and microscope are compared by the configuration, and no exit wave is read.
    Results of exit waves that the study does not have any more are not valid. If
    the job's file of networks is the one that was tested, its checksum is the same, and no network
    is read. Otherwise the weights of each network are compared.
    """
    tests, waves = record.test.values.tolist(), set(results.study.test_waves)
    kept = [id for id in tests if wave_set_of(id) in waves]
    if not kept:
        return None
    if len(kept) < len(tests):
        record = record.sel(test=kept)

    def same(attribute: str, now: Mapping[str, str]) -> list[str]:
        before = json_text.parse(record.attrs.get(attribute, "{}"))
        specimens = record.test_specimen.values.tolist()
        return [name for name in specimens if name in before and before[name] == now.get(name)]

    replicas = record.replica.values.tolist()
    own = list(cell.job.replicas)
    if replicas == own and (specimens := same("described", described(results, cell.job))):
        return record.sel(test_specimen=specimens)
    # Stores of earlier versions of Passband have no fingerprint of each network.
    before = json_text.parse(record.attrs.get("networks", "{}"))
    specimens = same("structures", structures(results.study))
    if not before or not specimens:
        return None
    now = networks.of(cell)
    alike = [r for r in replicas if r in own and before.get(str(r)) == now.get(r, "")]
    if not alike:
        return None
    return records.with_replicas(record.sel(test_specimen=specimens), alike)


def described(results: Results, job: TrainingJob) -> dict[str, str]:
    """Return a digest of a job's networks, the microscope and the structures, by test specimen.

    The digest is computed from the configuration and the checksum of the weights file.
    """
    return _digests(results.study, [weights.checksum(results.weights(job))])


def structures(study: Study) -> dict[str, str]:
    """Return a digest of the microscope and the structures, by test specimen."""
    return _digests(study, [])


def _digests(study: Study, networks: list[str | None]) -> dict[str, str]:
    common = (
        [STAGES["simulate"], STAGES["evaluate"], *networks, study.study.seed],
        study.microscope.exit_wave_params(),
        study.microscope.imaging_params(),
        study.study.structures.test,
    )
    return {
        name: digest(common, name, specimen.params(), specimen.content)
        for name, specimen in study.specimens.items()
    }


def gathered(
    study: Study,
    made: Sequence[tuple[TrainingCell, xr.Dataset]],
    variables: Collection[str],
) -> xr.Dataset:
    """Return the results of all training jobs, from one or several records each."""
    sizes: dict[str, list] = {
        "specimen": list(study.trained_specimens),
        "architecture": list(study.training.architectures),
        "train": study.train_ids,
        "replica": list(range(study.study.replicas)),
        "test_specimen": list(study.specimens),
        "test": study.axes.order({id for _, record in made for id in record.test.values}),
    }
    dims, shape = tuple(sizes), [len(values) for values in sizes.values()]
    attrs = {"units": "1", "long_name": "Dice, mean over structures"}
    empty = {"dice": (dims, np.full(shape, np.nan, "float32"), attrs)}
    coords = dict(sizes)
    for side in ("train", "test"):
        coords |= study.axes.coordinates(sizes[side], side)
    if "counts" in variables:
        counts = np.full((*shape, study.study.structures.test, len(OUTCOMES)), np.nan)
        attrs = {"units": "pixels", "long_name": "pixels by outcome"}
        empty["counts"] = ((*dims, "structure", "outcome"), counts, attrs)
        coords["outcome"] = list(OUTCOMES)
    whole = xr.Dataset(empty, coords)
    for cell, record in made:
        at = {name: record[name].values.tolist() for name in dims[3:]}
        at |= {"specimen": cell.id.specimen, "architecture": cell.id.architecture}
        at["train"] = cell.condition
        whole.dice.loc[at] = dice(record.counts.values).mean(-1)
        if "counts" in whole:
            whole.counts.loc[at] = record.counts.values
    return whole[[name for name in whole.data_vars if name in variables]]
