"""Networks in the store: a file for each job, in which a later job finds each network it needs."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from passband.results import Results, layout
from passband.results.network_batches import NetworkBatch
from passband.seeds import seed
from passband.storage import atomic
from passband.storage.integrity import check_attributes, read_if_valid
from passband.storage.weights import CellWeights, load_cells, save_cells
from passband.store import files
from passband.store.checkpoints import clear
from passband.store.recipe import Recipe, Recipes

#: Networks by training condition.
Cells = dict[str, CellWeights]


@dataclass(frozen=True)
class StoredNetworks:
    """A batch of networks: the same replicas under each of its conditions.

    Attributes:
        results: The study, with its folder.
        batch: Which networks.
    """

    results: Results
    batch: NetworkBatch

    def __len__(self) -> int:
        return self.batch.networks

    @property
    def file(self) -> Path:
        """The job's own file in the store, which need not exist."""
        return self.results.path(layout.stored(self.batch.path(layout.WEIGHTS)))

    @property
    def checkpoints(self) -> Path:
        """The folder of the saved states of an interrupted job."""
        return self.results.path(self.batch.path(layout.CHECKPOINTS))

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """The recipe of the networks of each training condition, by its id."""
        recipes = Recipes(self.results.study)
        of = self.batch.specimen, self.batch.architecture
        return {id: recipes.networks(*of, id) for id in self.batch.conditions}

    def words(self, made: Cells) -> str:
        """Return the result in words."""
        return f"{len(self)} network(s) in {self.results.weights(self.batch)}"

    def seeds(self, condition: str, replicas: Iterable[int]) -> dict[int, int]:
        """Return the seed of initial weights and dropout of each replica."""
        of = self.results.study.study.seed, self.batch.specimen, self.batch.architecture, condition
        return {replica: seed(*of, replica) for replica in replicas}

    def whole(self) -> Cells | None:
        """Return the networks in the job's own file if it is undamaged and has exactly these.

        Raises:
            NewerError: If a newer version of Passband wrote the file, which must not be
                overwritten.
        """
        found = self._read(self.file, newer=True)
        valid = list(found) == list(self.batch.conditions) and all(
            cell.metadata.recipe_digest == self.recipes[id].digest
            and list(cell.weights) == list(self.batch.replicas)
            for id, cell in found.items()
        )
        return found if valid else None

    def find(self) -> dict[str, list[CellWeights]]:
        """Return the finished networks, whatever job trained them, by training condition.

        Returns:
            For each condition, what several files have of its cell. All have the same precision,
            and no network is in two of them. Networks that are not found are left out.
        """
        missing = {id: set(self.batch.replicas) for id in self.batch.conditions}
        found: dict[str, list[CellWeights]] = {id: [] for id in self.batch.conditions}
        for path in files.of_networks(self.file, missing):
            cells = self._read(path)
            for id in missing.keys() & cells.keys():
                cell = cells[id]
                chosen = [replica for replica in cell.weights if replica in missing[id]]
                alike = not found[id] or found[id][0].metadata.precision == cell.metadata.precision
                if chosen and alike and cell.metadata.recipe_digest == self.recipes[id].digest:
                    found[id].append(_with_replicas(cell, chosen))
                    missing[id] -= set(chosen)
            if not any(missing.values()):
                break
        return found

    def _read(self, path: Path, newer: bool = False) -> Cells:
        """Return the networks in a file of the store; none if it is damaged.

        See :func:`passband.storage.integrity.read_if_valid` about `newer`.
        """
        return read_if_valid(load_cells, path, newer=newer) or {}

    def complete(self, found: Mapping[str, Sequence[CellWeights]]) -> Cells | None:
        """Return the networks of all conditions, if none lacks in what was found."""
        number = sum(len(cell.weights) for cells in found.values() for cell in cells)
        if number < len(self):
            return None
        return {id: self.joined(cells) for id, cells in found.items()}

    def joined(self, cells: Sequence[CellWeights]) -> CellWeights:
        """Return a cell from what several files have of it, together all its networks."""
        every = [cell.metadata for cell in cells]
        weights = {r: state for cell in cells for r, state in cell.weights.items()}
        metadata = replace(
            every[0],
            device=", ".join(sorted({each.device for each in every})),
            vectorized=any(each.vectorized for each in every),
            best={r: record for each in every for r, record in each.best.items()},
            history={r: rows for each in every for r, rows in each.history.items()},
        )
        return _with_replicas(CellWeights(weights, metadata), sorted(weights))

    def put_single(self, condition: str, cell: CellWeights, provenance: Mapping) -> None:
        """Write the networks of one condition of a job of several."""
        path = files.of_single(self.file, condition)
        files.write_single(partial(save_cells, {condition: cell}, path, provenance))

    def put(self, made: Cells, attrs: Mapping[str, str]) -> None:
        """Write all networks of the job to its file, and hand them over.

        Args:
            made: The networks by training condition, in the job's order.
            attrs: Their provenance.
        """
        save_cells(made, self.file, attrs)
        self.hand_over(made)

    def hand_over(self, made: Cells) -> None:
        """Make the outputs of the job from its file, and remove its saved states."""
        atomic.link(self.file, self.results.weights(self.batch))
        with atomic.replacing(self.results.history(self.batch)) as beside:
            _write_history(made, beside)
        if len(made) > 1:
            files.remove_single(files.of_single(self.file, condition) for condition in made)
        clear(self.checkpoints)


def trained(path: str | Path, of: Mapping[str, str], conditions: Sequence[str]) -> Cells:
    """Return the networks in the output of a `train` job.

    Args:
        of: The expected specimen and architecture.
        conditions: The expected training conditions.

    Raises:
        StoreError: If the file is missing or damaged, or has other networks.
    """
    cells = load_cells(path)
    for cell, condition in zip(cells.values(), conditions, strict=False):
        check_attributes(path, vars(cell.metadata), {**of, "condition": condition})
    check_attributes(path, {"conditions": len(cells)}, {"conditions": len(conditions)})
    return cells


def _write_history(cells: Mapping[str, CellWeights], path: Path) -> None:
    """Write the history of training. With several conditions, the first column is the condition."""
    rows = [
        ({"condition": id} if len(cells) > 1 else {}) | row
        for id, cell in cells.items()
        for row in cell.metadata.history_rows()
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            # A loss of NaN is an empty field.
            writer.writerow({key: "" if value != value else value for key, value in row.items()})


def _with_replicas(cell: CellWeights, replicas: Sequence[int]) -> CellWeights:
    metadata = cell.metadata
    return CellWeights(
        {replica: cell.weights[replica] for replica in replicas},
        replace(
            metadata,
            best={replica: metadata.best[replica] for replica in replicas},
            history={replica: metadata.history[replica] for replica in replicas},
        ),
    )
