"""Exit waves in the store: a file for each range of structures that a job made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from passband.results import Results, layout
from passband.storage import atomic, datasets
from passband.storage.integrity import read_if_valid
from passband.store import files
from passband.store.recipe import Recipe, Recipes
from passband.wave_sets import folder_of


@dataclass(frozen=True)
class StoredWaves:
    """The exit waves of one split of a specimen, of one set of exit waves.

    Attributes:
        folder: The folder of the files. It need not exist.
        recipe: What each of the exit waves depends on, apart from the index of its structure.
    """

    folder: Path
    recipe: Recipe

    @classmethod
    def of(cls, results: Results, specimen: str, split: str, waves: str = "") -> "StoredWaves":
        """Return those of a study; `waves` is the id of the set of exit waves."""
        of = {"specimen": specimen, "waves": folder_of(waves), "split": split}
        path = results.path(layout.stored(layout.WAVES), **of, shard="")
        return cls(path.parent, Recipes(results.study).waves(specimen, split, waves))

    def whole(self, structures: range) -> Path | None:
        """Return the file with exactly these structures, if there is one.

        Raises:
            NewerError: If a newer version of Passband wrote the file.
        """
        path = self.file(structures)
        return path if files.has_digest(path, datasets.WAVES, self.recipe.digest) else None

    def find(self, structures: range) -> list[xr.Dataset]:
        """Return exit waves of these structures, whatever jobs made them.

        No structure is in two of the data sets. Structures that are not found are left out.
        """
        missing = set(structures)
        found = []
        for path in files.listed(self.folder):
            if missing.isdisjoint(structures_of(path)):
                continue
            waves = read_if_valid(datasets.read, path, datasets.WAVES)
            if waves is None or waves.attrs.get(files.DIGEST) != self.recipe.digest:
                continue
            if chosen := missing.intersection(waves.structure.values.tolist()):
                found.append(waves.sel(structure=sorted(chosen)))
                missing -= chosen
        return found

    def put(self, structures: range, made: Sequence[xr.Dataset], attrs: Mapping[str, str]) -> Path:
        """Write the exit waves of these structures, wholly or not at all, and return their file."""
        waves = datasets.concatenated(made, "structure")
        path = self.file(structures)
        attrs = {**attrs, files.DIGEST: self.recipe.digest}
        datasets.write(waves, path, datasets.WAVES, attrs=attrs, chunks={"structure": 1})
        return path

    def file(self, structures: range) -> Path:
        """Return the path of the file with exactly these structures, which need not exist."""
        return self.folder / f"{structures.start:05d}-{structures.stop - 1:05d}.zarr.zip"


@dataclass(frozen=True)
class StoredShard:
    """The exit waves of one job, see :class:`passband.store.stored.Stored`.

    Attributes:
        stored: The exit waves that the job makes some of.
        structures: Their indices in the split.
        output: The job's output.
    """

    stored: StoredWaves
    structures: range
    output: str

    def whole(self) -> Sequence[xr.Dataset] | None:
        """Return the numbers of particles, without the exit waves, if the file is there."""
        path = self.stored.whole(self.structures)
        return None if path is None else [datasets.read(path, datasets.WAVES, ["particles"])]

    def find(self) -> list[xr.Dataset]:
        """See :meth:`StoredWaves.find`."""
        return self.stored.find(self.structures)

    def complete(self, found: Sequence[xr.Dataset]) -> Sequence[xr.Dataset] | None:
        """Return what was found if it has all structures."""
        number = sum(waves.sizes["structure"] for waves in found)
        return found if number == len(self.structures) else None

    def put(self, made: Sequence[xr.Dataset], attrs: Mapping[str, str]) -> None:
        """Write the file of the job's exit waves, and hand it over."""
        self.stored.put(self.structures, made, attrs)
        self.hand_over(made)

    def hand_over(self, made: Sequence[xr.Dataset]) -> None:
        """Make the output from the file."""
        atomic.link(self.stored.file(self.structures), self.output)

    def words(self, made: Sequence[xr.Dataset]) -> str:
        """Return the result in words."""
        number = len(self.structures)
        particles = sum(int(waves.particles.sum()) for waves in made) / number
        return f"{number} exit waves of {particles:.1f} particles in {self.output}"


def structures_of(path: Path) -> range:
    """Return the structures in a file from its name; none if it is no file of exit waves."""
    first, dash, last = path.name.removesuffix(".zarr.zip").partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        return range(0)
    return range(int(first), int(last) + 1)
