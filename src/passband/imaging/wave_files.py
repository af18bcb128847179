"""The identity of a split's exit waves and masks, from their files, without torch.

Jobs compare this identity with that of earlier results before they import torch, which takes
seconds. So a job whose results exist already ends soon.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from passband.config import Microscope
from passband.storage import datasets

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

    Parameters
    ----------
    names : (int, str, str)
        Study seed, specimen and split.
    structures : iterable of (int, array, array)
        For each structure, in order: its index within the split, its complex64 spectra, and its
        float32 mask.
    """
    hashed = hashlib.blake2b(repr(names).encode(), digest_size=8)
    for index, *arrays in structures:
        hashed.update(repr([index]).encode())
        for array in arrays:
            hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def digest_of_files(
    paths: Sequence[str], names: tuple[int, str, str], microscope: Microscope
) -> str:
    """Return the digest of a split, see :func:`split_digest`, from its shards.

    Parameters and errors are those of :meth:`passband.imaging.splits.Split.load`.
    """
    expected = expected_attributes(names, microscope)
    shards = [datasets.read_metadata(path, datasets.WAVES) for path in paths]
    datasets.check_many(shards, paths, "structure", expected)
    rows = sorted(
        (index, shard, place)
        for shard, waves in enumerate(shards)
        for place, index in enumerate(waves.structure.values.tolist())
    )

    def structures() -> Iterable[tuple[int, np.ndarray, np.ndarray]]:
        open_shard, waves = None, None
        for index, shard, place in rows:
            if shard != open_shard:  # the structures of a shard follow each other
                open_shard, waves = shard, datasets.read(paths[shard], datasets.WAVES, _VARIABLES)
            mask = waves["mask"].values[place].astype(np.float32)
            yield index, waves.spectrum.values[place], mask

    return split_digest(names, structures())
