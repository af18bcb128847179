"""The structures of a split: which they are, and their exit waves in files and in memory.

Only what is in memory imports torch, which takes seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from passband.config import Microscope, Study
from passband.grid import Condition
from passband.mixtures import Mixture
from passband.storage import StoreError, datasets
from passband.wave_sets import WaveSet, by_set, wave_set

if TYPE_CHECKING:
    import torch

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
            instances: Whether to read the instances.

        Raises:
            StoreError: If a shard is missing or damaged, or has another specimen, split, field or
                energy.
        """
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


@dataclass(frozen=True)
class Split:
    """The exit waves of one set and the masks of a split's structures, on a device.

    Attributes:
        structures: Which structures. The noise seeds of the images depend on their names.
        indices: (N,) int, index of each structure within the split.
        spectra: (N, P, cropped, cropped) complex64, cropped spectra of the exit waves, for P frozen
            configurations of each structure.
        masks: (N, 1, px, px) float32, ground truth: 1 in the particles, 0 elsewhere.
        instances: (N, 2, px, px) uint8, the number of the particle in each pixel, see
            :func:`passband.specimens.masks.instances`. None if the instances were not loaded.
    """

    structures: Structures
    indices: np.ndarray
    spectra: "torch.Tensor"
    masks: "torch.Tensor"
    instances: np.ndarray | None = None

    @classmethod
    def from_dataset(
        cls, waves: xr.Dataset, structures: Structures, device: "torch.device"
    ) -> "Split":
        """Return the split with the exit waves of a Dataset, which are those of `structures`."""
        import torch

        return cls(
            structures,
            waves.structure.values,
            torch.as_tensor(waves.spectrum.values, device=device),
            torch.as_tensor(waves["mask"].values[:, None], dtype=torch.float32, device=device),
            waves.instances.values if "instances" in waves else None,
        )

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, number: int) -> "Split":
        """Return a split with the first `number` structures, or with all if there are fewer."""
        return self.take(np.arange(min(number, len(self))))

    def take(self, places: np.ndarray) -> "Split":
        """Return a split with the structures at the given positions in this split."""
        return replace(
            self,
            indices=self.indices[places],
            spectra=self.spectra[places],
            masks=self.masks[places],
            instances=None if self.instances is None else self.instances[places],
        )

    def turned(self, turns: np.ndarray) -> "Split":
        """Return a split whose structures are rotated and flipped.

        `turns` has the symmetry operation of each structure, see
        :func:`passband.imaging.square_symmetry.turn`.
        """
        import torch

        from passband.imaging.square_symmetry import turned, turned_field

        labels = self.instances
        if labels is not None:
            labels = turned_field(torch.from_numpy(labels), turns).numpy()
        return replace(
            self,
            spectra=turned(self.spectra, turns),
            masks=turned_field(self.masks, turns),
            instances=labels,
        )

    def targets(self, places: np.ndarray, instances: bool = False) -> tuple["torch.Tensor", ...]:
        """Return the masks at some places, and with `instances` the labels too.

        Returns:
            (n, 1, px, px) float32, and (n, 2, px, px) uint8.
        """
        import torch

        masks = self.masks[places]
        if not instances:
            return (masks,)
        return masks, torch.as_tensor(self.instances[places], device=masks.device)

    @cached_property
    def truth(self) -> "torch.Tensor":
        """(N, 1, px, px) bool: whether a pixel is in a particle."""
        return self.masks > 0.5


@dataclass(frozen=True)
class LoadedStructures:
    """The structures of a split with the exit waves of all their sets, on a device.

    All sets have the same structures, with the specimen, the beam energy and the pixels of their
    conditions. A study without further axes has one set, with the id "".

    Attributes:
        structures: Which structures.
        sets: The exit waves and masks by the id of the set, see :mod:`passband.wave_sets`.
    """

    structures: Structures
    sets: dict[str, Split]

    def __len__(self) -> int:
        return len(next(iter(self.sets.values())))

    def under(self, condition: Condition | Mixture) -> Split:
        """Return the split with the exit waves that images of a condition are formed from.

        Raises:
            StoreError: If these exit waves were not loaded.
        """
        id = wave_set(condition)
        if id not in self.sets:
            of = self.structures
            values = id or "the study's own values"
            raise StoreError(f"{of.specimen}, {of.split}: there are no exit waves with {values}")
        return self.sets[id]

    def first(self, number: int) -> "LoadedStructures":
        """Return the first `number` structures, or all if there are fewer."""
        return replace(self, sets={id: split.first(number) for id, split in self.sets.items()})
