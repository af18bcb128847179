"""The exit waves and masks of a specimen's split, in memory."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from passband.grid import Condition
from passband.imaging.square_symmetry import turned, turned_field
from passband.mixtures import Mixture
from passband.storage import StoreError
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    from passband.imaging.structures import Structures


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

    structures: "Structures"
    indices: np.ndarray
    spectra: torch.Tensor
    masks: torch.Tensor
    instances: np.ndarray | None = None

    @classmethod
    def from_dataset(
        cls, waves: xr.Dataset, structures: "Structures", device: torch.device
    ) -> "Split":
        """Return the split with the exit waves of a Dataset, which are those of `structures`."""
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
        """Return a split whose structures are rotated and flipped, without instances.

        `turns` has the symmetry operation of each structure, see
        :func:`passband.imaging.square_symmetry.turn`.
        """
        return replace(
            self,
            spectra=turned(self.spectra, turns),
            masks=turned_field(self.masks, turns),
            instances=None,
        )

    @cached_property
    def truth(self) -> torch.Tensor:
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

    structures: "Structures"
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
