"""Exit waves of a train job, in memory. If they do not fit, they are read from their stores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from passband.imaging.structures import Split, Structures
from passband.learning.memory import SHARE, image_bytes, wave_bytes
from passband.storage import datasets


@dataclass(frozen=True)
class Stored:
    """A split whose exit waves and masks are read from their stores when they are needed.

    Attributes:
        structures: Which structures, with the stores of one set of exit waves.
        shards: Coordinates and attributes of each store, see
            :func:`passband.storage.datasets.read_metadata`.
        places: (N, 2) int, the store of every structure, and the structure's position in it.
        instances: Whether the instances are read, too.
    """

    structures: Structures
    shards: tuple[xr.Dataset, ...]
    places: np.ndarray
    device: torch.device
    instances: bool = False

    @classmethod
    def open(
        cls, structures: Structures, device: torch.device, instances: bool = False
    ) -> "Stored":
        """Open the stores of a set of exit waves. Errors are those of :meth:`Structures.load`."""
        shards, rows = structures.open()
        return cls(structures, tuple(shards), np.array(rows)[:, 1:], device, instances)

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: np.ndarray) -> Split:
        """Return the structures at some places of the split, in memory.

        Raises:
            StoreError: If a store is damaged.
        """
        parts = []
        order = []
        variables = ["spectrum", "mask"]
        if self.instances:
            variables.append("instances")
        wanted = self.places[indices]
        for shard in np.unique(wanted[:, 0]):
            where = np.flatnonzero(wanted[:, 0] == shard)
            wanted_here = {"structure": wanted[where, 1]}
            read = datasets.read_selection(
                self.structures.files[shard], datasets.WAVES, variables, wanted_here
            )
            parts.append(read)
            order.append(where)
        waves = xr.concat(parts, "structure", combine_attrs="override")
        waves = waves.isel(structure=np.argsort(np.concatenate(order)))
        return Split.from_dataset(waves, self.structures, self.device)

    def load(self) -> Split:
        """Return the whole split, read into memory."""
        return self.take(np.arange(len(self)))


#: The structures of a split, in memory or on disk.
Source = Split | Stored


def choose(splits: Sequence[Stored], memory: float) -> tuple[list[Source], bool, str]:
    """Read the splits of a job into memory, unless the splits are too large.

    Args:
        memory: The memory of the machine that the job may use [bytes]. If the device is a GPU, the
            free memory of the GPU is used instead.

    Returns:
        The splits, whether their noise-free images also fit into memory, and a line of text for the
        log.
    """
    device = splits[0].device
    if device.type == "cuda":
        memory = torch.cuda.mem_get_info(device)[0]
    room, structures = SHARE * memory, sum(map(len, splits))
    _, configurations, cropped, _ = splits[0].shards[0].spectrum.shape
    field_px = splits[0].structures.microscope.field_px
    waves = wave_bytes(
        structures,
        configurations,
        cropped=cropped,
        px=field_px,
        instances=splits[0].instances,
    )
    images = image_bytes(structures, field_px)
    if waves > room:
        where = "exit waves are read from their stores for every batch"
    elif waves + images > room:
        where = "exit waves are in memory, and images are formed for every batch"
    else:
        where = "exit waves and noise-free images are in memory"
    sources = splits if waves > room else [split.load() for split in splits]
    line = (
        f"{structures} structures need {waves / 1e9:.2g} GB for exit waves and masks and "
        f"{images / 1e9:.2g} GB for images; {room / 1e9:.2g} GB are available: {where}"
    )
    return list(sources), waves + images <= room, line
