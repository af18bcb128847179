"""Which structures of a study: their names, and their files of exit waves.

Only :meth:`Structures.load` imports torch, which takes seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xarray as xr

from passband.config import Microscope, Study
from passband.storage import datasets
from passband.wave_sets import WaveSet, by_set

if TYPE_CHECKING:
    import torch

    from passband.imaging.splits import LoadedStructures

_VARIABLES = ("spectrum", "mask")


@dataclass(frozen=True)
class Structures:
    """The structures of a specimen's train, val or test split, and the files of their exit waves.

    Attributes:
        seed: The study's seed.
        split: ``train``, ``val`` or ``test``.
        microscope: The microscope whose field, pixels and energy the exit waves have.
        files: The shards with the exit waves, of one or several sets, see
            :mod:`passband.wave_sets`. The path of a shard shows which set the shard belongs to.
            Empty if the structures are only in memory.
    """

    seed: int
    specimen: str
    split: str
    microscope: Microscope
    files: tuple[str, ...] = ()

    @classmethod
    def of_study(
        cls, study: Study, specimen: str, split: str, files: Iterable[str]
    ) -> "Structures":
        """Return structures of a study with these files of exit waves."""
        return cls(study.study.seed, specimen, split, study.microscope, tuple(files))

    @property
    def names(self) -> tuple[int | str, ...]:
        """Seed, specimen and split, which all random numbers of these structures depend on."""
        return self.seed, self.specimen, self.split

    @property
    def sets(self) -> dict[str, "Structures"]:
        """The structures with the files of one set of exit waves alone, by the id of the set."""
        return {
            id: replace(
                self, microscope=self.microscope.under(WaveSet.parse(id)), files=tuple(files)
            )
            for id, files in by_set(self.files).items()
        }

    def load(self, device: "torch.device", instances: bool = False) -> "LoadedStructures":
        """Read the exit waves and masks into memory.

        Args:
            instances: Whether to read the instances. Training does not need the instances.

        Raises:
            StoreError: If a shard is missing or damaged, or has another specimen, split, field or
                energy.
        """
        from passband.imaging.splits import LoadedStructures, Split  # torch takes seconds to import

        variables = [*_VARIABLES, *["instances"] * instances]
        sets = {
            id: Split.from_dataset(structures.read(variables), structures, device)
            for id, structures in self.sets.items()
        }
        return LoadedStructures(self, sets)

    def read(self, variables: Sequence[str] | None = None) -> xr.Dataset:
        """Return what the shards of a single set have, sorted by structure; errors as of `load`."""
        return datasets.read_many(
            self.files, datasets.WAVES, "structure", self._attributes, variables
        )

    def open(self) -> tuple[list[xr.Dataset], list[tuple[int, int, int]]]:
        """Return the metadata of a single set's shards, and where each structure is.

        For each structure: its index within the split, the index of its shard, and its position in
        the shard, sorted by the first. Errors are those of :meth:`load`.
        """
        shards = [datasets.read_metadata(path, datasets.WAVES) for path in self.files]
        datasets.check_many(shards, self.files, "structure", self._attributes)
        rows = (
            (index, shard, place)
            for shard, waves in enumerate(shards)
            for place, index in enumerate(waves.structure.values.tolist())
        )
        return shards, sorted(rows)

    def mean_power(self) -> xr.DataArray:
        """Return the mean of the stored power over all structures; shards are read one by one.

        See :func:`passband.specimens.exit_waves.linear_power`. Only seed, specimen and split of the
        shards are compared, and not their field, pixels and energy.

        Raises:
            StoreError: If a shard is missing or damaged, or has other structures.
        """
        expected = {"specimen": self.specimen, "split": self.split, "seed": self.seed}
        parts = [
            datasets.read_many([file], datasets.WAVES, "structure", expected, ["power"]).power
            for file in self.files
        ]
        number = sum(power.sizes["structure"] for power in parts)
        return sum(power.sum("structure") for power in parts) / number

    @property
    def _attributes(self) -> dict[str, object]:
        """The attributes that the shards of a single set must have."""
        return {
            "seed": self.seed,
            "specimen": self.specimen,
            "split": self.split,
            "field_px": self.microscope.field_px,
            "pixel_size_A": self.microscope.pixel_size_A,
            "energy_eV": self.microscope.energy_eV,
        }
