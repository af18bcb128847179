"""Which structures of a study: their names, their files of exit waves, and their identity.

Jobs compare the identity of structures with that of earlier results before they import torch, which
takes seconds. So a job whose results exist already ends soon. Only :meth:`Structures.load` imports
torch.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from passband.config import Microscope
from passband.storage import datasets
from passband.storage.records import context_name
from passband.wave_sets import WaveSet, by_set, wave_set_of

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
    def of_params(
        cls, params: Any, specimen: str, split: str, files: Iterable[str]
    ) -> "Structures":
        """Return structures of a job, whose rule has the params `seed` and `microscope`."""
        return cls(params.seed, specimen, split, Microscope(**params.microscope), tuple(files))

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

    @property
    def digests(self) -> dict[str, str]:
        """The :attr:`digest` of each set of exit waves, by its id."""
        return {id: structures.digest for id, structures in self.sets.items()}

    @property
    def digest(self) -> str:
        """The digest of a single set of exit waves from its files, see :meth:`digest_of`.

        Raises:
            StoreError: If a shard is missing or damaged, or has other structures.
        """
        _, rows = self.open()

        def arrays() -> Iterable[tuple[int, np.ndarray, np.ndarray]]:
            open_shard = None
            waves = None
            for index, shard, place in rows:
                if shard != open_shard:  # the structures of a shard follow each other
                    open_shard = shard
                    waves = datasets.read(self.files[shard], datasets.WAVES, _VARIABLES)
                mask = waves["mask"].values[place].astype(np.float32)
                yield index, waves.spectrum.values[place], mask

        return self.digest_of(arrays())

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

    def digest_of(self, arrays: Iterable[tuple[int, np.ndarray, np.ndarray]]) -> str:
        """Return hexadecimal digits that identify exit waves, masks and the structures' names.

        Args:
            arrays: For each structure, in order: its index within the split, its complex64 spectra,
                and its float32 mask.
        """
        hashed = hashlib.blake2b(repr(self.names).encode(), digest_size=8)
        for index, *each in arrays:
            hashed.update(repr([index]).encode())
            for array in each:
                hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()

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


def trained_structures(
    params: Any, specimen: str, files: Mapping[str, Iterable[str]]
) -> list[Structures]:
    """Return a job's structures for training and for validation, with their files by split."""
    return [
        Structures.of_params(params, specimen, split, files[split]) for split in ("train", "val")
    ]


def tested_structures(params: Any) -> dict[str, Structures]:
    """Return a job's test structures by specimen. The param `waves` has the files of each."""
    return {
        specimen: Structures.of_params(params, specimen, "test", files)
        for specimen, files in params.waves.items()
    }


def weighting_structures(params: Any) -> dict[str, list[Structures]]:
    """Return the structures of each specimen's spectrum in a job, from files in the param `waves`.

    The name of a file's folder is the split of its structures.
    """
    found = {}
    for specimen, files in params.waves.items():
        by_split: dict[str, list[str]] = {}
        for file in files:
            by_split.setdefault(file.split("/")[-2], []).append(file)
        found[specimen] = [
            Structures.of_params(params, specimen, split, of_split)
            for split, of_split in by_split.items()
        ]
    return found


def digests_of_specimens(sets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the digests of test structures by the name that contexts of records have.

    Args:
        sets: For each specimen, the digest of each set of exit waves by the set's id.
    """
    return {
        context_name(specimen, id): digest
        for specimen, digests in sets.items()
        for id, digest in digests.items()
    }


def digests_of_conditions(
    conditions: Iterable[str], splits: Iterable[Structures]
) -> dict[str, list[str]]:
    """Return the digests of the structures that networks are trained with, by training condition.

    Args:
        conditions: Ids of the training conditions.
        splits: The structures for training and for validation.

    Raises:
        StoreError: If a shard is missing or damaged, or has other structures.
    """
    sets = [structures.digests for structures in splits]
    needed = {id: wave_set_of(id) for id in conditions}
    return {id: [digests[waves] for digests in sets] for id, waves in needed.items()}
