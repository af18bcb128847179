"""The exit waves and masks of a specimen's split, which are read from shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import xarray as xr

from passband.config import Microscope
from passband.grid import Condition
from passband.imaging.square_symmetry import turned, turned_field
from passband.imaging.structures import expected_attributes, split_digest
from passband.mixtures import Mixture
from passband.storage import StoreError, datasets
from passband.wave_sets import WaveSet, by_set, wave_set


@dataclass(frozen=True)
class Split:
    """The exit waves and masks of one specimen's train, val or test split, on a device.

    Attributes:
        names: (study seed, specimen, split). The noise seeds of the images depend on these names.
        structures: (N,) int, index of each structure within the split.
        spectra: (N, P, cropped, cropped) complex64, cropped spectra of the exit waves, for P frozen
            configurations of each structure.
        masks: (N, 1, px, px) float32, ground truth: 1 in the particles, 0 elsewhere.
        instances: (N, 2, px, px) uint8, the number of the particle in each pixel, see
            :func:`passband.specimens.masks.instances`. None if the instances were not loaded.
    """

    names: tuple[int, str, str]
    structures: np.ndarray
    spectra: torch.Tensor
    masks: torch.Tensor
    instances: np.ndarray | None = None

    @classmethod
    def load(
        cls,
        paths: Sequence[str],
        names: tuple[int, str, str],
        microscope: Microscope,
        device: torch.device,
        instances: bool = False,
    ) -> "Split":
        """Read a split from its shards.

        Args:
            names: Study seed, specimen and split.
            microscope: The microscope whose field, pixels and energy the waves must have.
            instances: Whether to read the instances. Training does not need the instances.

        Raises:
            StoreError: If a shard is missing or damaged, or has another specimen, split, field or
                energy.
        """
        variables = ["spectrum", "mask"] + ["instances"] * instances
        waves = datasets.read_many(
            paths, datasets.WAVES, "structure", expected_attributes(names, microscope), variables
        )
        return cls.from_dataset(waves, names[0], device)

    @classmethod
    def from_dataset(cls, waves: xr.Dataset, study_seed: int, device: torch.device) -> "Split":
        """Return the split with the exit waves of a Dataset."""
        return cls(
            (study_seed, waves.attrs["specimen"], waves.attrs["split"]),
            waves.structure.values,
            torch.as_tensor(waves.spectrum.values, device=device),
            torch.as_tensor(waves["mask"].values[:, None], dtype=torch.float32, device=device),
            waves.instances.values if "instances" in waves else None,
        )

    def __len__(self) -> int:
        return len(self.structures)

    def under(self, condition: Condition | Mixture) -> "Split":
        """Return the split itself, see :meth:`SplitSets.under`."""
        return self

    def first(self, number: int) -> "Split":
        """Return a split with the first `number` structures, or with all if there are fewer."""
        return self.take(np.arange(min(number, len(self))))

    def take(self, indices: np.ndarray) -> "Split":
        """Return a split with the structures at the given positions in this split."""
        return Split(
            self.names,
            self.structures[indices],
            self.spectra[indices],
            self.masks[indices],
            None if self.instances is None else self.instances[indices],
        )

    def turned(self, turns: np.ndarray) -> "Split":
        """Return a split whose structures are rotated and flipped, without instances.

        `turns` has the symmetry operation of each structure, see
        :func:`passband.imaging.square_symmetry.turn`.
        """
        masks = turned_field(self.masks, turns)
        return Split(self.names, self.structures, turned(self.spectra, turns), masks)

    @cached_property
    def truth(self) -> torch.Tensor:
        """(N, 1, px, px) bool: whether a pixel is in a particle."""
        return self.masks > 0.5

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digits that identify the split: its exit waves, its masks and its names."""
        structures = (
            (int(index), self.spectra[place].cpu().numpy(), self.masks[place].cpu().numpy())
            for place, index in enumerate(self.structures)
        )
        return split_digest(self.names, structures)

    @property
    def digests(self) -> dict[str, str]:
        """The digest by the id of the set of exit waves, see :attr:`SplitSets.digests`."""
        return {"": self.digest}


@dataclass(frozen=True)
class SplitSets:
    """A split whose conditions need several sets of exit waves, see :mod:`passband.wave_sets`.

    All sets have the same structures, with the specimen, the beam energy and the pixels of their
    conditions.

    Attributes:
        sets: The split by the id of the set.
    """

    sets: dict[str, Split]

    @property
    def names(self) -> tuple[int, str, str]:
        """Study seed, specimen and split."""
        return self._any.names

    @property
    def structures(self) -> np.ndarray:
        """Index of each structure within the split."""
        return self._any.structures

    @property
    def _any(self) -> Split:
        return next(iter(self.sets.values()))

    def __len__(self) -> int:
        return len(self._any)

    def under(self, condition: Condition | Mixture) -> Split:
        """Return the split with the exit waves that images of a condition are formed from.

        Raises:
            StoreError: If these exit waves were not loaded.
        """
        id = wave_set(condition)
        if id not in self.sets:
            _, specimen, split = self.names
            values = id or "the study's own values"
            raise StoreError(f"{specimen}, {split}: there are no exit waves with {values}")
        return self.sets[id]

    def first(self, number: int) -> "SplitSets":
        """Return the first `number` structures, or all if there are fewer."""
        return SplitSets({id: split.first(number) for id, split in self.sets.items()})

    @property
    def digests(self) -> dict[str, str]:
        """The :attr:`Split.digest` of each set, by its id."""
        return {id: split.digest for id, split in self.sets.items()}


def load_sets(
    paths: Sequence[str],
    names: tuple[int, str, str],
    microscope: Microscope,
    device: torch.device,
    instances: bool = False,
) -> Split | SplitSets:
    """Read a split from the shards of one or several sets of exit waves.

    The path of a shard shows which set the shard belongs to. Parameters and errors are those of
    :meth:`Split.load`; `microscope` has the study's own values.
    """
    sets = {
        id: Split.load(files, names, microscope.under(WaveSet.parse(id)), device, instances)
        for id, files in by_set(paths).items()
    }
    return sets[""] if list(sets) == [""] else SplitSets(sets)
