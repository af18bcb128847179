"""The identity of a split's exit waves and masks, from their files, without torch.

Jobs compare this identity with that of earlier results before they import torch, which takes
seconds. So a job whose results exist already ends soon.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from passband.config import Microscope
from passband.storage import datasets
from passband.storage.records import context_name
from passband.wave_sets import WaveSet, by_set, wave_set_of

_VARIABLES = ("spectrum", "mask")


def expected_attributes(names: tuple[int, str, str], microscope: Microscope) -> dict[str, object]:
    """Return the attributes that a split's stores of exit waves must have."""
    return {
        "seed": names[0],
        "specimen": names[1],
        "split": names[2],
        "field_px": microscope.field_px,
        "pixel_size_A": microscope.pixel_size_A,
        "energy_eV": microscope.energy_eV,
    }


def split_digest(
    names: tuple[int, str, str], structures: Iterable[tuple[int, np.ndarray, np.ndarray]]
) -> str:
    """Return hexadecimal digits that identify a split: its exit waves, its masks and its names.

    Args:
        names: Study seed, specimen and split.
        structures: For each structure, in order: its index within the split, its complex64 spectra,
            and its float32 mask.
    """
    hashed = hashlib.blake2b(repr(names).encode(), digest_size=8)
    for index, *arrays in structures:
        hashed.update(repr([index]).encode())
        for array in arrays:
            hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def open_shards(
    paths: Sequence[str], names: tuple[int, str, str], microscope: Microscope
) -> tuple[list[xr.Dataset], list[tuple[int, int, int]]]:
    """Return the metadata of a split's shards, and where each structure is, sorted by its index.

    Each row has the structure's index within the split, its shard, and its position in the shard.
    Parameters and errors are those of :meth:`passband.imaging.splits.Split.load`.
    """
    shards = [datasets.read_metadata(path, datasets.WAVES) for path in paths]
    datasets.check_many(shards, paths, "structure", expected_attributes(names, microscope))
    rows = (
        (index, shard, place)
        for shard, waves in enumerate(shards)
        for place, index in enumerate(waves.structure.values.tolist())
    )
    return shards, sorted(rows)


def digest_of_files(
    paths: Sequence[str], names: tuple[int, str, str], microscope: Microscope
) -> str:
    """Return the digest of a split, see :func:`split_digest`, from its shards."""
    _, rows = open_shards(paths, names, microscope)

    def structures() -> Iterable[tuple[int, np.ndarray, np.ndarray]]:
        open_shard, waves = None, None
        for index, shard, place in rows:
            if shard != open_shard:  # the structures of a shard follow each other
                open_shard, waves = shard, datasets.read(paths[shard], datasets.WAVES, _VARIABLES)
            mask = waves["mask"].values[place].astype(np.float32)
            yield index, waves.spectrum.values[place], mask

    return split_digest(names, structures())


def digests_of_sets(
    paths: Sequence[str], names: tuple[int, str, str], microscope: Microscope
) -> dict[str, str]:
    """Return the digest of each set of exit waves among shards, by the set's id.

    Parameters and errors are those of :func:`passband.imaging.splits.load_sets`.
    """
    return {
        id: digest_of_files(files, names, microscope.under(WaveSet.parse(id)))
        for id, files in by_set(paths).items()
    }


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
    conditions: Iterable[str],
    paths: Mapping[str, Sequence[str]],
    names: tuple[int, str],
    microscope: Microscope,
) -> dict[str, list[str]]:
    """Return the digests of the structures that networks are trained with, by training condition.

    Args:
        conditions: Ids of the training conditions.
        paths: The shards of the splits `train` and `val`, of one or several sets of exit waves.
        names: Study seed and specimen.

    Raises:
        StoreError: If a shard is missing or damaged, or has other structures.
    """
    sets = [
        digests_of_sets(paths[split], (*names, split), microscope) for split in ("train", "val")
    ]
    needed = {id: wave_set_of(id) for id in conditions}
    return {id: [digests[waves] for digests in sets] for id, waves in needed.items()}
