"""The images of a split under one condition as a data set, to look at or to share."""

import numpy as np
import torch
import xarray as xr

from passband.examples import Camera, Split
from passband.grid import AXES, Condition

#: Most images in one file of a data set: 128 MB of counts at 512², before compression.
IMAGES_PER_SHARD = 256


def images(camera: Camera, split: Split, condition: Condition) -> xr.Dataset:
    """Return the images of a split's structures under a condition, with their ground truth.

    They are draw 0 of the noise: what evaluation sees of a test split, validation of a validation
    split, and training too of a training split if ``training.noise`` is ``fixed``. On the same kind
    of device they are the same to the last bit.

    Parameters
    ----------
    camera : Camera
        Takes the images. What it normalises by has no effect: the data set has the counts.
    split : Split
        Whose structures.
    condition : Condition
        Under which imaging condition.

    Returns
    -------
    xarray.Dataset
        ============= ================ ================= ========================================
        name          type             dimensions
        ============= ================ ================= ========================================
        counts        uint16           (structure, x, y) electrons times gain; uint32 if uint16 is
                                                         too small, float32 if the gain is not whole
        mask          uint8            (structure, x, y) 1 in the particles, 0 elsewhere
        seed          int64            (structure)       of the image's noise
        structure     int64            (structure)       index within the split
        x, y          float64          (x), (y)          place of a pixel [Å]
        defocus_nm, … float64          ()                the condition, one for each axis, with unit
        ============= ================ ================= ========================================
    """
    counts = torch.cat(list(camera.counts(split, condition))).cpu().numpy()
    if not camera.microscope.detector.gain.is_integer():
        dtype = np.float32
    else:
        dtype = np.uint16 if counts.max() <= np.iinfo(np.uint16).max else np.uint32
    side = np.arange(camera.microscope.field_px) * camera.microscope.pixel_size_A
    return xr.Dataset(
        {
            "counts": (
                ("structure", "x", "y"),
                counts.astype(dtype),
                {"long_name": "electrons times the detector's gain", "units": "counts"},
            ),
            "mask": (
                ("structure", "x", "y"),
                split.masks[:, 0].cpu().numpy().astype(np.uint8),
                {"long_name": "particles in projection", "units": "1"},
            ),
            "seed": (
                "structure",
                np.asarray(camera.seeds(split, condition), np.int64),
                {"long_name": "seed of the image's noise", "units": "1"},
            ),
        },
        {
            "structure": (
                "structure",
                np.asarray(split.structures, np.int64),
                {"long_name": "index within the split", "units": "1"},
            ),
            "x": ("x", side, {"long_name": "x", "units": "Å"}),
            "y": ("y", side, {"long_name": "y", "units": "Å"}),
            **{
                axis.name: (
                    (),
                    getattr(condition, name),
                    {"long_name": axis.label, "units": axis.unit},
                )
                for name, axis in AXES.items()
            },
        },
        {
            "study_seed": split.names[0],
            "specimen": split.names[1],
            "split": split.names[2],
            "condition": condition.id,
            "draw": 0,
            "electrons_per_vacuum_pixel": camera.electrons(condition),
            "pixel_size_A": camera.microscope.pixel_size_A,
            "energy_kev": camera.microscope.energy_kev,
            "coherence": camera.microscope.coherence,
        },
    )
