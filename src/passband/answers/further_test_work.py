"""Computes the results of networks under further conditions, in one or several processes.

See :mod:`passband.answers.further_tests`. A process of this module reads files and computes. Only
the process that has the lease writes files.
"""

import contextlib
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path

import xarray as xr

from passband import pools
from passband.errors import PassbandError
from passband.grid import Condition
from passband.imaging.structures import LoadedStructures
from passband.jobs import evaluation, running
from passband.learning import devices, memory, networks
from passband.learning.evaluation import SharedImages
from passband.results import Results
from passband.results.network_batches import TrainingCell
from passband.storage import DamagedError, integrity, provenance, records, weights
from passband.storage.integrity import check_attributes
from passband.storage.weights import CellWeights, load_cells
from passband.store.results import ResultRecipes, StoredResults, further

#: Number of images for which a further process is worth the time that it takes to start.
_WORTH_A_PROCESS = 10_000


@dataclass
class Done:
    """What a process has done for the networks of a condition.

    Attributes:
        record: The results to write, or None if the store has all results already.
        attrs: The attributes of the results.
        failure: The message of an error that the user can correct; empty if there is none.
        remarks: Lines for the user, for example about damaged files.
    """

    record: xr.Dataset | None = None
    attrs: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """What to compute for the networks of every condition.

    Attributes:
        wanted: Ids of the further conditions.
    """

    results: Results
    wanted: tuple[str, ...]

    @cached_property
    def structures(self) -> dict[str, LoadedStructures]:
        """The test structures by specimen. All work of a process shares them."""
        study = self.results.study
        device = devices.device()
        every = map(study.training.architecture, study.training.architectures)
        has_head = any(architecture.head for architecture in every)
        return {
            name: self.results.structures(name, "test", study.test_waves).load(device, has_head)
            for name in study.specimens
        }

    @cached_property
    def _shared(self) -> SharedImages:
        """The images under the further conditions, which the networks of all conditions share."""
        return SharedImages()

    def compute(self, cell: TrainingCell) -> Done:
        """Return the results of networks of a condition, with all their earlier valid results."""
        done = Done()
        try:
            self._compute(cell, done)
        except PassbandError as error:
            done.failure = str(error)
        return done

    def _compute(self, cell: TrainingCell, done: Done) -> None:
        results = self.results
        study = results.study
        path = results.weights(cell.batch)
        id = cell.condition

        def read(path: Path) -> dict[str, xr.Dataset]:
            try:
                return records.read_all(path)
            except DamagedError as error:
                aside = integrity.set_aside(path)
                done.remarks.append(f"{error.what}; set aside as {aside.name}, and made again now")
                return {}

        def identities() -> Mapping[int, str]:
            return weights.identities(path).get(id, {})

        recipes = self._recipes(cell.id.architecture)
        known = further(results, cell, identities, recipes=recipes, read=read)
        if set(self.wanted) <= set(known.tests) and not known.missing:
            return
        named = {name: getattr(cell.id, name) for name in ("specimen", "architecture", "condition")}
        loaded = self._networks(path, named)
        tests = sorted(map(Condition.parse, {*self.wanted, *known.tests}))
        tested = {id: [condition.id for condition in tests]}
        stored = StoredResults(
            recipes, cells={id: loaded}, tests=tested, file=results.further(cell)
        )
        found = stored.find(self._last_record.read)[id]
        evaluation.complete_record(
            study,
            loaded,
            found,
            structures=self.structures,
            device=devices.device(),
            shared=self._shared,
        )
        done.record = stored.finished(id, found)
        command = f"passband evaluate {study.study.name}"
        done.attrs = {
            **provenance.attributes(study.study.name, study.digest, command),
            "configuration": json.dumps(study.written()),
            **named,
        }

    @cached_property
    def _recipes(self) -> Callable[[str], ResultRecipes]:
        """Returns the recipes of an architecture's results."""
        return cache(partial(ResultRecipes, self.results, self.results.study.test_waves))

    @cached_property
    def _last_networks(self) -> "_LastFile":
        return _LastFile(partial(load_cells, framework="pt"))

    @cached_property
    def _last_record(self) -> "_LastFile":
        return _LastFile(records.read_all)

    def _networks(self, path: Path, named: dict[str, str]) -> CellWeights:
        """Return the networks of a training condition from a job's file of networks."""
        cells = self._last_networks.read(path)
        condition = named["condition"]
        if condition not in cells:
            raise DamagedError(path, f"its networks were not trained under {condition}")
        cell = cells[condition]
        check_attributes(path, {name: getattr(cell.metadata, name) for name in named}, named)
        known = self.results.study.known_parts
        networks.check_shapes(path, cell.weights, cell.metadata, known)
        return cell


class _LastFile:
    """Keeps the content of the last file that was read, which several conditions share."""

    def __init__(self, read: Callable[[Path], dict]):
        self._read = read
        self._key = None
        self._content = None

    def read(self, path: Path) -> dict:
        """Return the content of a file, which is read again if it was replaced."""
        key = None
        with contextlib.suppress(OSError):  # the function then says what is wrong with the file
            status = path.stat()
            key = path, status.st_ino, status.st_mtime_ns, status.st_size
        if key is None or key != self._key:
            self._key = self._content = None  # its memory is free before the next file is read
            self._content = self._read(path)
            self._key = key
        return self._content


# ── Processes ────────────────────────────────────────────────────────────────────────────────────


def computed(
    work: Work, cells: Sequence[TrainingCell], processes: int | None = None
) -> Generator[Done, None, None]:
    """Yield what was done for each cell, in the order of the cells.

    The cells are computed in several processes of one thread each.

    Args:
        work: What to compute.
        processes: Number of processes; by default see :func:`number_of_processes`.
    """
    number = number_of_processes(work, cells) if processes is None else min(processes, len(cells))
    if number > 1:
        yield from pools.results(_compute, cells, number, prepare=_begin, given=(work,))
        return
    with running.one_thread():
        yield from map(work.compute, cells)


def number_of_processes(work: Work, cells: Sequence[TrainingCell]) -> int:
    """Return how many processes the cores and the memory of this machine and the work allow."""
    if devices.device().type == "cuda":
        return 1
    study = work.results.study
    images = len(study.specimens) * study.study.structures.test * len(work.wanted)
    images *= sum(len(cell.batch.replicas) for cell in cells)
    architectures = {cell.id.architecture for cell in cells}
    largest = max(memory.evaluate_mb(study, name) for name in architectures)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    return max(
        1, min(pools.cores(), len(cells), images // _WORTH_A_PROCESS, int(machine / largest))
    )


#: The work of a further process.
_work: Work


def _begin(work: Work) -> None:
    """Prepare a further process."""
    global _work
    _work = work
    running.cap_threads(1)
    running.keep_memory()


def _compute(cell: TrainingCell) -> Done:
    return _work.compute(cell)
