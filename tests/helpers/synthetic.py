"""Small synthetic exit waves, in the form of the exit waves that `simulate` makes."""

import numpy as np
import torch
import xarray as xr

from passband.imaging.structures import LoadedStructures, Split
from passband.optics.sampling import Sampling
from passband.seeds import generator
from passband.storage.weights import EpochRecord, WeightsMetadata

CPU = torch.device("cpu")
SEED = 7


def discs(
    structures: int, split: str = "train", specimen: str = "gold", px: int = 32, phase: float = 0.4
) -> xr.Dataset:
    """Return exit waves like those of `simulate`, each of a crystalline disc with a weak phase.

    A network finds the disc by its lattice fringes of 2.4 Å.
    """
    sampling = Sampling(px, 0.4)
    x = (np.arange(px) + 0.5) * 0.4
    spectra, masks = [], []
    for index in range(structures):
        random = generator(SEED, specimen, split, index)
        radius = random.uniform(2.0, 3.2) * px / 32
        centre = random.uniform(radius, sampling.field_A - radius, size=2)
        mask = np.hypot(x[:, None] - centre[0], x[None, :] - centre[1]) <= radius
        angle = random.uniform(0, np.pi)
        along = np.cos(angle) * x[:, None] + np.sin(angle) * x[None, :]
        wave = np.exp(1j * phase * mask * (1 + np.cos(2 * np.pi * along / 2.4)))
        spectra.append(sampling.crop(wave).astype(np.complex64))
        masks.append(mask.astype(np.uint8))
    # The disc is on the top face. A part of it is on the bottom face too, so that masks overlap.
    instances = np.stack([masks, 2 * np.roll(masks, 3, 1) * np.stack(masks)], 1).astype(np.uint8)
    return xr.Dataset(
        {
            "spectrum": (
                ("structure", "configuration", "kx", "ky"),
                np.stack(spectra)[:, None],
            ),
            "mask": (("structure", "x", "y"), np.stack(masks)),
            "instances": (("structure", "face", "x", "y"), instances),
        },
        {"structure": np.arange(structures), "face": ["top", "bottom"]},
        {"specimen": specimen, "split": split, "field_px": px, "pixel_size_A": 0.4},
    )


def loaded(splits: dict[str, Split]) -> dict[str, LoadedStructures]:
    """Return splits as those of a study without further axes, which has one set of exit waves."""
    return {name: LoadedStructures(each.structures, {"": each}) for name, each in splits.items()}


def weights_metadata(replicas=(0,), **changes) -> WeightsMetadata:
    """Return the metadata of networks that were trained for one epoch."""
    record = EpochRecord(0, 0.001, 1.25, 1.5, 0.75, 2.0)
    given = {
        "architecture": "compact-w4-d2",
        "specimen": "gold",
        "condition": "a",
        "normalisation": "zscore",
        "precision": "float32",
        "device": "cpu (AVX2)",
        "recipe_digest": "x",
        "vectorized": False,
        "best": dict.fromkeys(replicas, record),
        "history": dict.fromkeys(replicas, (record,)),
        "provenance": {"study": "smallest", "passband_version": "0.1.0"},
    }
    return WeightsMetadata(**given | changes)
