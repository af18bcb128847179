"""The images of a split under one condition as a data set, to look at or to share."""

import numpy as np
import torch
import xarray as xr

from passband import units
from passband.examples import Camera, Split
from passband.grid import AXES, Condition
from passband.lens import Spread
from passband.specimen import FACES

#: Most images in one file of a data set: 128 MB of counts at 512², before compression.
IMAGES_PER_SHARD = 256


def images(camera: Camera, split: Split, condition: Condition, draw: int = 0) -> xr.Dataset:
    """Return the images of a split's structures under a condition, with their ground truth.

    On the same kind of device they are, to the last bit, what networks are shown, before it is
    normalised, turned and flipped. Evaluation and validation see draw 0, and so does every epoch of
    training if ``training.noise`` is ``fixed``; if it is ``fresh``, epoch e sees draw e, from 0 on.

    Parameters
    ----------
    camera : Camera
        Takes the images. What it normalises by has no effect: the data set has the counts.
    split : Split
        Whose structures; read with their instances.
    condition : Condition
        Under which imaging condition.
    draw : int
        Which draw of the noise, and of the microscope's spreads.

    Returns
    -------
    xarray.Dataset
        ============= ================ ================= ========================================
        name          type             dimensions
        ============= ================ ================= ========================================
        counts        uint16           (structure, x, y) electrons times gain; uint32 if uint16 is
                                                         too small, float32 if the gain is not whole
        mask          uint8            (structure, x, y) 1 in the particles, 0 elsewhere
        instances     uint8            (structure, face, number of the particle; see
                                       x, y)             :func:`passband.specimen.instances`
        seed          int64            (structure)       of the image's noise
        structure     int64            (structure)       index within the split
        face          str              (face)            the substrate's, "top" or "bottom"
        x, y          float64          (x), (y)          place of a pixel [Å]
        defocus_nm, … float64          ()                the condition, one for each axis, with unit
        image_…       float64          (structure)       defocus, dose and aberrations of each
                                                         image, if the microscope spreads them
        ============= ================ ================= ========================================
    """
    counts = torch.cat(list(camera.counts(split, condition, draw))).cpu().numpy()
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
            "instances": (
                ("structure", "face", "x", "y"),
                split.instances,
                {"long_name": "number of the particle in projection, 0 is none", "units": "1"},
            ),
            "seed": (
                "structure",
                np.asarray(camera.seeds(split, condition, draw), np.int64),
                {"long_name": "seed of the image's noise", "units": "1"},
            ),
        },
        {
            "structure": (
                "structure",
                np.asarray(split.structures, np.int64),
                {"long_name": "index within the split", "units": "1"},
            ),
            "face": (
                "face",
                list(FACES),
                {"long_name": "face of the substrate that a particle lies on", "units": "1"},
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
            **_each(camera, split, condition, draw),
        },
        {
            "study_seed": split.names[0],
            "specimen": split.names[1],
            "split": split.names[2],
            "condition": condition.id,
            "draw": draw,
            "electrons_per_vacuum_pixel": camera.electrons(condition),
            "pixel_size_A": camera.microscope.pixel_size_A,
            "energy_kev": camera.microscope.energy_kev,
            "coherence": camera.microscope.coherence,
        },
    )


def _each(camera: Camera, split: Split, condition: Condition, draw: int) -> dict[str, tuple]:
    """Return coordinates of what an image has of its own where the microscope has spreads."""
    if units.spread(camera.microscope) == Spread():
        return {}
    rows = [
        {"dose_e_per_A2": dose * condition.dose_e_per_A2, **units.aberrations(lens)}
        for lens, dose in camera.lenses(split, condition, draw)
    ]
    return {
        f"image_{key}": (
            "structure",
            np.array([row[key] for row in rows]),
            {
                "long_name": f"the image's own {key.partition('_')[0]}",
                "units": {"nm": "nm", "deg": "°", "A2": "e/Å²"}[key.rpartition("_")[2]],
            },
        )
        for key in rows[0]
    }
