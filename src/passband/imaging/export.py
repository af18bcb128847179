"""The images of a split under one condition as a data set that can be viewed or shared."""

import numpy as np
import torch
import xarray as xr

from passband.axes import AXES, MAIN_AXES
from passband.config import Microscope
from passband.config.drawn import is_range
from passband.config.microscope import lens_values
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import noise_seeds
from passband.imaging.structures import Split
from passband.specimens.exit_waves import structure_coordinates
from passband.storage.datasets import described

#: Maximum number of images in a file of a data set. At 512² pixels, the counts of so many images
#: are 128 MB before compression.
IMAGES_PER_SHARD = 256
#: Units of an image's own values, by the last part of the key.
_UNITS = {"nm": "nm", "deg": "°", "A2": "e/Å²", "A": "Å", "gain": "counts/electron"}
#: Words for keys that do not begin with what they are.
_WORDS = {
    "noise_kernel_A": "kernel of the noise, 0 is white",
    "stored_pixel_A": "pixels with which the image is stored",
    "clip_low": "share of dark pixels that are clipped",
    "clip_high": "share of bright pixels that are clipped",
}


def images(
    acquisition: Acquisition,
    split: Split,
    condition: Condition,
    draw: int = 0,
    replica: int | None = None,
) -> xr.Dataset:
    """Return the images of a split's structures under a condition, with their ground truth.

    On the same kind of device, the counts are equal to the last bit to the counts that networks
    see, before these are normalised, rotated and flipped. In evaluation and validation, all
    networks see draw 0 of the noise and jitter, without a replica. In training, each replica has
    its own noise. If ``training.noise`` is ``fixed``, every epoch uses draw 0. If it is ``fresh``,
    epoch e uses draw e, from 0 on.

    Args:
        acquisition: Forms the images. The acquisition's normalisation has no effect, since the data
            set has counts.
        split: The structures, which must have been loaded with their instances.
        draw, replica: The draw and the replica of the noise and of the jitter.

    Returns:
        `counts`, `mask` and `instances`, and the `seed` of each image's noise; the attributes of
        each variable describe it. Counts are electrons times gain: uint16, uint32 if uint16 is too
        small, or float32 if gain is a fraction, if counts are filtered, if there is a background,
        or if the study has a noise model of its own. Coordinates are the condition's value on each
        axis and, if the microscope has jitter, defocus, dose and aberrations of each image, as
        `image_defocus_nm`; and what an image has of a range, such as `image_slope_sd`.
    """
    counts = torch.cat(list(acquisition.counts(split, condition, draw, replica))).cpu().numpy()
    microscope = acquisition.microscope.under(condition)
    if not _are_whole(microscope):
        dtype = np.float32
    else:
        dtype = np.uint16 if counts.max() <= np.iinfo(np.uint16).max else np.uint32
    side = np.arange(microscope.field_px) * microscope.pixel_size_A
    image, masks = ("structure", "x", "y"), split.masks[:, 0].cpu().numpy()
    seeds = noise_seeds(split.structures, split.indices, condition, draw, replica)
    values = {name: getattr(condition, name) for name in MAIN_AXES} | dict(condition.further)
    return xr.Dataset(
        {
            "counts": described(
                image, counts.astype(dtype), "electrons times the detector's gain", "counts"
            ),
            "mask": described(image, masks.astype(np.uint8), "particles in projection"),
            "instances": described(
                ("structure", "face", "x", "y"),
                split.instances,
                "number of the particle in projection, 0 is none",
            ),
            "seed": described(
                "structure", np.asarray(seeds, np.int64), "seed of the image's noise"
            ),
        },
        {
            **structure_coordinates(split.indices),
            "x": described("x", side, "x", "Å"),
            "y": described("y", side, "y", "Å"),
            **{
                name: described((), value, AXES[name].label, AXES[name].unit)
                for name, value in values.items()
            },
            **_each(acquisition, split, condition, draw),
        },
        {
            "study_seed": split.structures.seed,
            "specimen": split.structures.specimen,
            "split": split.structures.split,
            "condition": condition.id,
            "draw": draw,
            **({} if replica is None else {"replica": replica}),
            "electrons_per_vacuum_pixel": acquisition.electrons(condition),
            "pixel_size_A": microscope.pixel_size_A,
            "energy_kev": microscope.energy_kev,
            "coherence": microscope.coherence,
        },
    )


def _are_whole(microscope: Microscope) -> bool:
    """Return whether all counts are whole numbers."""
    detector = microscope.detector
    counted = not microscope.noise_part.is_own and detector.noise.is_white
    is_whole = not is_range(detector.gain) and float(detector.gain).is_integer()
    return counted and is_whole and microscope.background.is_even


def _each(
    acquisition: Acquisition, split: Split, condition: Condition, draw: int
) -> dict[str, tuple]:
    """Return coordinates for each image's own lens, dose and camera; empty if all are alike."""
    microscope = acquisition.microscope
    found: dict[str, list[float]] = {}
    if microscope.jitter.varies:
        for lens, dose in acquisition.lenses(split, condition, draw):
            values = {"dose_e_per_A2": dose * condition.dose_e_per_A2, **lens_values(lens)}
            for key, value in values.items():
                found.setdefault(key, []).append(value)
    cameras = acquisition.cameras(split.structures, split.indices, condition, draw)
    for path in microscope.under(condition).ranges:
        if path in ("detector.noise.form", "detector.noise.width_A"):
            found["noise_kernel_A"] = [camera.detector.noise.kernel_A for camera in cameras]
        else:
            found[path.rpartition(".")[2]] = [camera.at(path) for camera in cameras]
    return {
        f"image_{key}": described(
            "structure",
            np.array(values),
            f"the image's own {_WORDS.get(key) or key.partition('_')[0]}",
            _UNITS.get(key.rpartition("_")[2], "1"),
        )
        for key, values in found.items()
    }
