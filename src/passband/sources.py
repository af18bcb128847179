"""Where a job's exit waves are while it trains: in memory, or in their stores for want of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
import xarray as xr

from passband import examples, footprint, store
from passband.config import Microscope
from passband.examples import Split


class Source(Protocol):
    """Structures of a split; :class:`Split` has them in memory, :class:`Stored` on disk."""

    digest: str

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> Split:
        """Return structures by their place, in memory."""


@dataclass(frozen=True)
class Stored:
    """A split whose exit waves and masks are read from their stores as they are asked for.

    Attributes
    ----------
    names : tuple
        (study seed, specimen, split).
    paths : tuple of str
        The stores of exit waves.
    shards : tuple of Dataset
        What is in them, less the numbers; see :func:`passband.store.outline`.
    device : torch.device
        Where to put what is read.
    """

    names: tuple[int, str, str]
    paths: tuple[str, ...]
    shards: tuple[xr.Dataset, ...]
    device: torch.device

    @classmethod
    def open(
        cls,
        paths: Sequence[str],
        names: tuple[int, str, str],
        microscope: Microscope,
        device: torch.device,
    ) -> "Stored":
        """Open a split's shards; parameters and errors are those of :meth:`Split.load`."""
        expected = examples.expected(names, microscope)
        shards = [store.outline(path, store.WAVES) for path in paths]
        store.check_many(shards, paths, "structure", expected)
        return cls(names, tuple(paths), tuple(shards), device)

    @cached_property
    def _places(self) -> np.ndarray:
        """(N, 2) shard and place in it of every structure, in the order of their indices."""
        found = sorted(
            (index, shard, place)
            for shard, waves in enumerate(self.shards)
            for place, index in enumerate(waves.structure.values.tolist())
        )
        return np.array(found)[:, 1:]

    def __len__(self) -> int:
        return len(self._places)

    def take(self, indices: np.ndarray) -> Split:
        """Return structures by their place in the split, in memory.

        Raises
        ------
        StoreError
            If what is read is damaged.
        """
        parts, order = [], []
        wanted = self._places[indices]
        for shard in np.unique(wanted[:, 0]):
            where = np.flatnonzero(wanted[:, 0] == shard)
            wanted_here = {"structure": wanted[where, 1]}
            read = store.part(self.paths[shard], store.WAVES, ("spectrum", "mask"), wanted_here)
            parts.append(read)
            order.append(where)
        waves = xr.concat(parts, "structure", combine_attrs="override")
        waves = waves.isel(structure=np.argsort(np.concatenate(order)))
        return Split.from_dataset(waves, self.names[0], self.device)

    @cached_property
    def digest(self) -> str:
        """The same digits as :attr:`Split.digest` of the split in memory."""
        return examples.digest(
            self.names, (self.take(np.array([place])) for place in range(len(self)))
        )

    def load(self) -> Split:
        """Return the whole split in memory."""
        return self.take(np.arange(len(self)))


def choose(
    splits: Sequence[Stored], field_px: int, memory: float
) -> tuple[list[Source], bool, str]:
    """Read a job's splits into memory, unless they take too much of it.

    Parameters
    ----------
    splits : sequence of Stored
        All that the job needs.
    field_px : int
        Side of an image in pixels.
    memory : float
        What the job may use of the host's memory, in bytes. On a GPU, what is free there counts
        instead.

    Returns
    -------
    list of Source, bool, str
        The splits, whether there is room to hold their images too, and a line for the log.
    """
    device = splits[0].device
    if device.type == "cuda":
        memory = torch.cuda.mem_get_info(device)[0]
    room, structures = footprint.SHARE * memory, sum(map(len, splits))
    _, configurations, cropped, _ = splits[0].shards[0].spectrum.shape
    waves = footprint.of_waves(structures, configurations, cropped, field_px)
    images = footprint.of_images(structures, field_px)
    if waves > room:
        where = "read from their stores for every batch"
    elif waves + images > room:
        where = "in memory, images formed for every batch"
    else:
        where = "in memory, and images too"
    sources = splits if waves > room else [split.load() for split in splits]
    line = (
        f"{structures} structures: {waves / 1e9:.2g} GB of exit waves and masks and "
        f"{images / 1e9:.2g} GB for images, with room for {room / 1e9:.2g} GB: {where}"
    )
    return list(sources), waves + images <= room, line
