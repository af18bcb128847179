"""Takes over what took long to make of what Passband 0.2 has made in a study's folder of results.

A file of 0.2 is taken over if it is undamaged and depends on the same values as what this version
would make, see `formulas`: it is linked into the store, where `adopted` finds the recipe that it
has. Then everything that 0.2 made is moved to the folder ``0.2`` inside the study's, which commands
that only read can read as before.

Nothing is moved before the store is complete, and until the last move the folder counts as one of
0.2. So an interrupted call can be repeated, and what could not be taken over yet stays in ``0.2``.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr

from passband.results import Results, earlier, layout
from passband.storage import UnreachableError, atomic, datasets, lease, records
from passband.storage.integrity import DamagedError, StoreError, read_if_valid
from passband.storage.weights import load_cells
from passband.store import files
from passband.store.recipe import Recipes
from passband.store.version_02 import adopted, adopted_results, formulas
from passband.store.waves import StoredWaves
from passband.wave_sets import folder_of, wave_set_of

T = TypeVar("T")

#: Why networks or files of exit waves are not taken over.
_OTHER_WAVES = "file(s) of exit waves have another recipe now"
_OTHER = "network(s) have another recipe now"
_NOT_IN_STUDY = "network(s) are of training conditions that the study does not have now"
_NO_WAVES = "network(s) can be compared only when their exit waves are there"


@dataclass(frozen=True)
class Adopted:
    """A file of 0.2 that this version can use.

    Attributes:
        path: The file.
        target: Its path in the store.
        number: How many networks it has, or has results of.
        digests: The digest of the recipe for each digest of 0.2 that the file has. None for
            records, which are written anew.
    """

    path: Path
    target: Path
    number: int
    digests: Mapping[str, str] = field(default_factory=dict)


class Adoption:
    """What this version can use of a folder that 0.2 made. Nothing is written before :meth:`take`.

    Args:
        results: The study. Its folder may have been taken over before.
        report: Receives a line about each damaged file.
        tick: Is called before a file is read.

    Attributes:
        waves, networks, records: The files.
        left: The numbers of networks and of files of exit waves that stay, by the reason in words.
    """

    def __init__(
        self,
        results: Results,
        report: Callable[[str], object] = lambda line: None,
        tick: Callable[[], object] = lambda: None,
    ):
        self._results = results
        self._study = results.study
        self._report = report
        self._tick = tick
        self._is_new = earlier.is_earlier(results.folder)
        # The file of each structure and its place there, by specimen, split and set.
        self._places: dict[tuple[str, str, str], dict[int, tuple[Path, int]]] = {}
        self._digests: dict[tuple[str, str, str], str | None] = {}
        self.left: Counter[str] = Counter()
        # A file that was taken over before is in the store too.
        self.waves = [*{file.target: file for file in self._find_waves()}.values()]
        self.networks = list(self._find_networks())
        self._files = {file.target: file.path for file in self.networks}
        self.records = list(self._find_records())

    @property
    def lacks_waves(self) -> bool:
        """Whether more networks can be taken over after missing exit waves were made."""
        return self.left[_NO_WAVES] > 0

    def __str__(self) -> str:
        number = sum(file.number for file in self.networks)
        tested = sum(record.number for record in self.records)
        said = f"{len(self.waves):,} file(s) of exit waves and {number:,} network(s)"
        if tested:
            said += f", {tested:,} of them with results"
        return "; ".join([said, *(f"{number:,} {why}" for why, number in self.left.items())])

    def take(self) -> None:
        """Link the files into the store, and move all of 0.2 to the folder ``0.2``.

        Raises:
            FullError: If there is no space left.
        """
        folder = self._results.folder
        found = [*self.waves, *self.networks]
        with lease.held(self._results.path_to_write(f"{layout.STORE}/adopt{layout.LEASE}")):
            if self._is_new:
                (folder / earlier.CACHE).mkdir(exist_ok=True)
            known: dict[str, str] = {}
            with suppress(StoreError):  # if the file is damaged, it is made again
                known |= adopted.read(self._store)
            for file in found:
                known |= file.digests
                if file.path != file.target and not _is_there(file, known):
                    atomic.link(file.path, file.target)
            adopted.write(self._store, known)
            for record in self.records:
                if read_if_valid(records.read_all, record.target) is None:
                    adopted_results.write(self._results_in(record.path), record.target)
            if self._is_new:
                earlier.put_away(folder)

    @property
    def _store(self) -> Path:
        return self._results.path(layout.STORE)

    # ── Exit waves ───────────────────────────────────────────────────────────────────────────────

    def _find_waves(self) -> Iterator[Adopted]:
        """Yield the files of exit waves of 0.2, and note the places of all structures."""
        study = self._study
        read = partial(datasets.read, kind=datasets.WAVES, variables=["particles"])
        for specimen, of_study in study.specimens.items():
            for split in of_study.splits:
                for id in study.waves(specimen, split):
                    stored = StoredWaves.of(self._results, specimen, split, id)
                    places = self._places.setdefault((specimen, split, id), {})
                    folder = f"waves/{specimen}/{folder_of(id)}{split}"
                    for path, waves in self._read(folder, ".zarr.zip", read):
                        indices = waves.structure.values.tolist()
                        held = range(indices[0], indices[-1] + 1)
                        context = formulas.of_waves(
                            study, specimen, split, waves=id, structures=held
                        )
                        digest = waves.attrs.get(files.DIGEST)
                        if digest == context:
                            digests = {context: stored.recipe.digest}
                            yield Adopted(path, stored.file(held), number=0, digests=digests)
                        elif digest != stored.recipe.digest:
                            self.left[_OTHER_WAVES] += 1
                            continue
                        for place, index in enumerate(indices):
                            places.setdefault(index, (path, place))

    def _digest(self, specimen: str, split: str, waves: str) -> str | None:
        """Return the digest of all exit waves of a split; None if some are missing."""
        key = specimen, split, waves
        if key not in self._digests:
            self._digests[key] = None
            number = getattr(self._study.study.structures, split)
            places = self._places.get(key, {})
            if places.keys() >= {*range(number)}:
                arrays = _arrays([(index, *places[index]) for index in range(number)])
                names = self._study.study.seed, specimen, split
                self._digests[key] = formulas.of_structures(names, arrays)
        return self._digests[key]

    # ── Networks ─────────────────────────────────────────────────────────────────────────────────

    def _find_networks(self) -> Iterator[Adopted]:
        """Yield the files of networks of 0.2."""
        recipes = Recipes(self._study)
        ids = {*self._study.train_ids}
        for specimen in self._study.trained_specimens:
            for architecture in self._study.training.architectures:
                folder = f"{layout.NETWORKS}/{specimen}/{architecture}"
                for path, cells in self._read(folder, ".safetensors", load_cells):
                    digests = {}
                    number = 0
                    for id, cell in cells.items():
                        of = specimen, architecture, id
                        context = cell.metadata.recipe_digest
                        replicas = [*cell.weights]
                        recipe = recipes.networks(*of).digest if id in ids else None
                        if context == recipe:
                            continue  # a network of this version, in the store
                        why = self._why_not(of, context, replicas) if recipe else _NOT_IN_STUDY
                        if why:
                            self.left[why] += len(replicas)
                        else:
                            digests[context] = recipe
                            number += len(replicas)
                    if digests:
                        target = self._store / folder / path.parent.name / path.name
                        yield Adopted(path, target, number=number, digests=digests)

    def _why_not(self, of: tuple[str, str, str], context: str, replicas: list[int]) -> str:
        """Return why networks with a digest of 0.2 cannot be used, or "" if they can."""
        specimen, _, condition = of
        waves = wave_set_of(condition)
        found = [self._digest(specimen, split, waves) for split in ("train", "val")]
        splits = [digest for digest in found if digest is not None]
        if len(splits) < len(found):
            return _NO_WAVES
        same = context in formulas.of_networks(self._study, *of, replicas, splits)
        return "" if same else _OTHER

    # ── Results of networks ──────────────────────────────────────────────────────────────────────

    def _find_records(self) -> Iterator[Adopted]:
        """Yield the records of 0.2 with valid results of networks that are taken over."""
        for specimen in self._study.trained_specimens:
            for architecture in self._study.training.architectures:
                folder = f"records/{specimen}/{architecture}"
                for path, found in self._read(folder, ".zarr.zip", self._results_in):
                    if number := sum(record.sizes["replica"] for record in found.values()):
                        target = self._store / folder / path.parent.name / path.name
                        yield Adopted(path, target, number)

    def _results_in(self, path: Path) -> dict[str, xr.Dataset]:
        """Return the valid results in a record of 0.2, by training condition."""
        networks = path.name.replace(".zarr.zip", ".safetensors")
        target = self._store.joinpath(layout.NETWORKS, *path.parts[-4:-1], networks)
        if target not in self._files:
            return {}
        return adopted_results.read(
            self._results, path, networks=self._files[target], digest=self._digest
        )

    # ── Files ────────────────────────────────────────────────────────────────────────────────────

    def _read(
        self, folder: str, suffix: str, read: Callable[[Path], T]
    ) -> Iterator[tuple[Path, T]]:
        """Yield the undamaged files below a folder, wherever they are, with what is read from them.

        Most files have two names. Of the files with one path below `folder`, the first undamaged
        one is used.
        """
        moved = self._results.folder / earlier.KEPT
        places = [*sorted(moved.glob(f"{earlier.CACHE}*")), moved, self._store]
        if self._is_new:
            places = [self._results.folder / earlier.CACHE, self._results.folder, *places]
        found: dict[Path, list[Path]] = {}
        for place in places:
            for path in sorted((place / folder).rglob(f"*{suffix}")):
                if not path.name.startswith("."):  # what a killed job was writing
                    found.setdefault(path.relative_to(place), []).append(path)
        for paths in found.values():
            said = ""
            for path in paths:
                self._tick()
                try:
                    yield path, read(path)
                    break
                except UnreachableError:
                    raise
                except StoreError as error:
                    said = error.what if isinstance(error, DamagedError) else str(error)
            else:
                self._report(f"{said}; it is left out, and made again")


def _is_there(file: Adopted, known: Mapping[str, str]) -> bool:
    """Return whether the store has what a file of 0.2 has, from an earlier call or a job.

    Args:
        known: The digests of recipes by those of 0.2.
    """
    if file.target.suffix == ".safetensors":
        cells = read_if_valid(load_cells, file.target) or {}
        there = [cell.metadata.recipe_digest for cell in cells.values()]
    else:
        waves = read_if_valid(datasets.read, file.target, datasets.WAVES)
        there = [] if waves is None else [waves.attrs.get(files.DIGEST, "")]
    return {*file.digests.values()} <= {known.get(digest, digest) for digest in there}


def _arrays(
    places: list[tuple[int, Path, int]],
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield the index, the spectra and the mask of each structure; one file is in memory."""
    for path, of_path in groupby(places, key=itemgetter(1)):
        waves = datasets.read(path, datasets.WAVES, ["spectrum", "mask"])
        for index, _, place in of_path:
            mask = waves["mask"].values[place].astype(np.float32)
            yield index, waves.spectrum.values[place], mask
