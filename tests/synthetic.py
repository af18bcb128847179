"""Small synthetic exit waves, as `simulate` makes them."""

import numpy as np
import torch
import xarray as xr

from passband.sampling import Sampling
from passband.seeds import generator

CPU = torch.device("cpu")
SEED = 7


def discs(
    structures: int, split: str = "train", specimen: str = "gold", px: int = 32, phase: float = 0.4
) -> xr.Dataset:
    """Return exit waves as `simulate` makes them, of one crystalline weak phase disc each.

    The lattice fringes of 2.4 Å are what a network finds the disc by.
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
    # The disc lies on top; the bottom has a part of it too, so that there is an overlap.
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
