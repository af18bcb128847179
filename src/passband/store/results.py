"""Results of networks in the store: a file for each job, in which a later job finds each result.

A result is that of one network on the test structures of a specimen under one condition. It is
valid if the network is the same, and if the recipe of results on these structures is the same, see
:mod:`passband.store.recipe`. A record says both: `network` (replica) has the identity of each
network, see :class:`passband.storage.weights.CellWeights`, and `recipe` (test_specimen, test) the
digest of each recipe. So a result is found in whatever file it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from json import dumps
from pathlib import Path

import numpy as np
import xarray as xr

from passband.results import Results, layout, wave_layout
from passband.results.network_batches import NetworkBatch, TrainingCell
from passband.seeds import digest
from passband.storage import atomic, records
from passband.storage.integrity import read_if_valid
from passband.storage.partial_record import PartialRecord
from passband.storage.records import CELL, DEVICES
from passband.store import files
from passband.store.networks import Cells
from passband.store.recipe import Recipes
from passband.wave_sets import wave_set_of

#: Reads the records in a file by training condition.
Read = Callable[[Path], Mapping[str, xr.Dataset]]


class ResultRecipes:
    """The recipes of the results of a study, whatever network and condition they are of.

    Attributes:
        particles: Whether the networks have a head, so that their particles are counted.

    Args:
        waves: The ids of the sets of exit waves that networks are tested with.
        architecture: That of the networks; "" for one without a head.
    """

    def __init__(self, results: Results, waves: Iterable[str], architecture: str = ""):
        of = Recipes(results.study)
        known = results.study.training.architecture
        self.particles = bool(architecture) and known(architecture).head is not None
        self.waves = list(waves)
        self.specimens = list(results.study.specimens)
        self._pixels = results.study.microscope.field_px**2
        self._digests = {
            (name, id): of.results(name, id, self.particles).digest
            for name in self.specimens
            for id in self.waves
        }

    def digests(self, specimens: Sequence[str], tests: Sequence[str]) -> np.ndarray:
        """Return the digest of each recipe, (test_specimen, test) str; "" of unknown ones."""
        sets = [wave_set_of(id) for id in tests]
        rows = [[self._digests.get((name, id), "") for id in sets] for name in specimens]
        return np.array(rows, object).reshape(len(specimens), len(sets))

    def valid(
        self, record: xr.Dataset, networks: Mapping[int, str], unknown: bool = False
    ) -> np.ndarray:
        """Return which results of a record are valid, (replica, test_specimen, test) bool.

        Args:
            networks: The identity of each network by replica.
            unknown: Whether results by recipes that the study does not have count as valid.
        """
        if not {"network", "recipe"} <= {*record.data_vars}:  # nobody knows what it depends on
            return np.zeros([record.sizes[name] for name in CELL], bool)
        replicas = record.replica.values.tolist()
        same = [
            networks.get(replica) == before
            for replica, before in zip(replicas, record.network.values.tolist(), strict=True)
        ]
        now = self.digests(record.test_specimen.values.tolist(), record.test.values.tolist())
        is_known = now != ""
        unchanged = (record.recipe.values == now) & is_known & self._possible(record)
        return np.logical_and.outer(same, unchanged | ~is_known if unknown else unchanged)

    def _possible(self, record: xr.Dataset) -> np.ndarray:
        """Return which results count no more pixels than images have, (test_specimen, test)."""
        most = record.counts.sum("outcome", dtype=np.int64).max(("replica", "structure"))
        return (most <= self._pixels).transpose(*CELL[1:]).values


@dataclass(frozen=True)
class StoredResults:
    """Results of networks in the store, and which of them a job makes.

    Attributes:
        recipes: The recipes of the results.
        cells: The networks by training condition.
        tests: For each training condition, the ids of what its networks are tested under.
        file: The job's own file in the store, which need not exist.
        output: The job's output; further tests have none.
    """

    recipes: ResultRecipes
    cells: Cells
    tests: Mapping[str, Sequence[str]]
    file: Path
    output: Path | None = None

    @classmethod
    def of_batch(cls, results: Results, batch: NetworkBatch, cells: Cells) -> "StoredResults":
        """Return those of the batch of an `evaluate` job, with the networks that were trained."""
        study = results.study
        test = [condition.id for condition in study.test_conditions]
        own_too = study.evaluation.test_own
        tests = {id: records.with_own(test, id, own_too) for id in cells}
        waves = wave_layout.evaluated_waves(study, batch.conditions)
        recipes = ResultRecipes(results, waves, batch.architecture)
        file = results.path(layout.stored(batch.path(layout.RECORD)))
        return cls(recipes, cells, tests, file, results.record(batch))

    def __len__(self) -> int:
        return sum(len(cell.weights) for cell in self.cells.values())

    @cached_property
    def networks(self) -> dict[str, dict[int, str]]:
        """The identity of each network, by training condition and replica."""
        return {id: cell.identities for id, cell in self.cells.items()}

    def whole(self) -> dict[str, xr.Dataset] | None:
        """Return the job's own record if it is undamaged and has exactly what the job makes.

        Raises:
            NewerError: If a newer version of Passband wrote the file, which must not be
                overwritten.
        """
        found = read_if_valid(records.read_all, self.file, newer=True) or {}
        valid = list(found) == list(self.cells) and all(
            [record[name].values.tolist() for name in CELL]
            == [list(self.networks[id]), self.recipes.specimens, list(self.tests[id])]
            and self.recipes.valid(record, self.networks[id]).all()
            for id, record in found.items()
        )
        return found if valid else None

    def find(self, read: Read = records.read_all) -> dict[str, PartialRecord]:
        """Return the results that are in the store, whatever job made them, by condition."""
        found = {
            id: PartialRecord(list(of_id), self.recipes.specimens, self.tests[id])
            for id, of_id in self.networks.items()
        }
        missing = {id: record.missing for id, record in found.items()}
        for path in files.of_networks(self.file, missing):
            stored = read_if_valid(read, path) or {}
            for id in found.keys() & stored.keys():
                found[id].take(stored[id], self.recipes.valid(stored[id], self.networks[id]))
                missing[id] &= found[id].missing
            if not any(missing.values()):
                break
        return found

    def complete(self, found: Mapping[str, PartialRecord]) -> dict[str, xr.Dataset] | None:
        """Return the records of all conditions, if no result lacks in what was found."""
        if any(record.missing for record in found.values()):
            return None
        return {id: self.finished(id, record) for id, record in found.items()}

    def words(self, made: Mapping[str, xr.Dataset]) -> str:
        """Return the result in words."""
        return f"{len(self)} network(s) on all conditions in {self.output}"

    def finished(self, condition: str, found: PartialRecord) -> xr.Dataset:
        """Return the record of a condition's networks, which lacks nothing."""
        cell = self.cells[condition]
        record = found.as_record()
        specimens, tests = (record[name].values.tolist() for name in CELL[1:])
        best = [cell.metadata.best[replica] for replica in cell.weights]
        of_networks = {
            "network": list(self.networks[condition].values()),
            "val_loss": [epoch.val_loss for epoch in best],
            "best_epoch": [epoch.epoch for epoch in best],
        }
        record = record.assign({name: ("replica", each) for name, each in of_networks.items()})
        record["recipe"] = CELL[1:], self.recipes.digests(specimens, tests)
        return record.assign_attrs({DEVICES: dumps(sorted(found.devices))})

    def put_single(self, condition: str, record: xr.Dataset, attrs: Mapping[str, str]) -> None:
        """Write the record of one condition of a job of several."""
        path = files.of_single(self.file, condition)
        made = {condition: record}
        self._keep_others(path, made)
        files.write_single(partial(records.write, made, path, attrs))

    def put(self, made: Mapping[str, xr.Dataset], attrs: Mapping[str, str]) -> None:
        """Write the record of all conditions to the job's file, and hand it over.

        Args:
            made: The records of all conditions, in the job's order.
            attrs: Provenance, specimen and architecture.
        """
        self._keep_others(self.file, made)
        records.write(made, self.file, attrs)
        self.hand_over(made)

    def hand_over(self, made: Mapping[str, xr.Dataset]) -> None:
        """Make the output of the job from its file, and remove the files of single conditions."""
        assert self.output is not None
        atomic.link(self.file, self.output)
        if len(made) > 1:
            single = {files.of_single(self.file, id): {id: record} for id, record in made.items()}
            files.remove_single(path for path in single if not self._others(path, single[path]))

    def _keep_others(self, path: Path, made: Mapping[str, xr.Dataset]) -> None:
        """Give a file a second name if it has results that its next content lacks.

        So if a test condition is taken out of a study and comes back, no network is tested again.
        """
        if lacking := self._others(path, made):
            batch, *suffixes = path.name.split(".")
            atomic.link(path, path.with_name(".".join([batch, digest(lacking)[:8], *suffixes])))

    def _others(self, path: Path, made: Mapping[str, xr.Dataset]) -> list[list[str]]:
        """Return which valid results of a file are not in records: condition, specimen and test."""
        stored = read_if_valid(records.read_all, path) or {}
        found = []
        for id in sorted(stored.keys() & made.keys()):
            before = stored[id]
            now = made[id]
            others = self.recipes.valid(before, self.networks[id], unknown=True)
            others[np.ix_(*(np.isin(before[name].values, now[name].values) for name in CELL))] = (
                False
            )
            found += [
                [id, str(before.test_specimen.values[specimen]), str(before.test.values[test])]
                for specimen, test in np.argwhere(others.any(0))
            ]
        return found


# ── Further tests ────────────────────────────────────────────────────────────────────────────────


def further(
    results: Results,
    cell: TrainingCell,
    networks: Callable[[], Mapping[int, str]],
    recipes: ResultRecipes,
    read: Read = records.read_all,
) -> PartialRecord:
    """Return the results of a condition's networks under all conditions of `passband evaluate`.

    Args:
        networks: Returns the identity of each network by replica. It is called if there are files.
        read: Reads the records in a file; none to ignore the file.
    """
    file = results.further(cell)
    paths = [
        path
        for path in files.listed(file.parent)
        if path.suffixes == file.suffixes
        and not set(cell.batch.replicas).isdisjoint(layout.replicas_of(path))
    ]
    stored = [of for path in paths if (of := read(path).get(cell.condition)) is not None]
    valid = [recipes.valid(record, networks()) for record in stored]
    tests: set[str] = set()
    for record, which in zip(stored, valid, strict=True):
        tests |= set(record.test.values[which.any((0, 1))].tolist())
    found = PartialRecord(cell.batch.replicas, recipes.specimens, sorted(tests))
    for record, which in zip(stored, valid, strict=True):
        found.take(record, which)
    return found
