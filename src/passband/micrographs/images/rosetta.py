"""Reads files with RosettaSciIO, and returns the images among what they contain."""

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.images.contents import Content, grey
from passband.micrographs.images.file_metadata import NOTHING, Recorded
from passband.micrographs.images.pixel_size import is_reciprocal, length_A


def read(path: Path, module: str, **options: Any) -> Content:
    """Return the images of a file.

    Args:
        module: The module of RosettaSciIO that reads the file.
        options: Arguments of the module's ``file_reader``.

    Raises:
        PassbandError: If RosettaSciIO is not installed, or if the file contains no image.
    """
    try:
        reader = importlib.import_module(f"rsciio.{module}")
    except ImportError:
        raise PassbandError(
            f"{path}: files {path.suffix} need RosettaSciIO: pip install 'passband[micrographs]'"
        ) from None
    return _images_of(path, reader.file_reader(str(path), **options))


def _images_of(path: Path, datasets: Sequence[Mapping[str, Any]]) -> Content:
    """Return the images among the data sets that RosettaSciIO has read from a file."""
    found: list[Content] = []
    others: list[str] = []
    for dataset in datasets:
        axes = dataset["axes"]
        signal = [axis for axis in axes if not axis["navigate"]]
        if len(signal) == 3 and len({axis.get("units") for axis in signal[1:]}) == 1:
            signal = signal[1:]  # NCEM's EMD does not mark the axis of a stack
        if len(signal) == 1:
            others.append("a spectrum")
        elif len(signal) != 2:
            others.append(f"data of {len(axes)} dimensions")
        elif any(is_reciprocal(axis.get("units")) for axis in signal):
            others.append("a diffraction pattern")
        else:
            found.append(_image(dataset, signal))
    if not found:
        what = ", ".join(dict.fromkeys(others)) or "nothing"
        raise PassbandError(f"{path}: contains {what}, not an image")
    first = found[0]
    stated = _stated(datasets[0])
    if len(found) == 1:
        return replace(first, stated=stated)
    if all(
        one.images.ndim == 2
        and one.images.shape == first.images.shape
        and one.pixel_sizes_A == first.pixel_sizes_A
        for one in found
    ):
        images = np.stack([one.images for one in found])
        notes = (*first.notes, f"{len(found)} images")
        return replace(first, images=images, notes=notes, stated=stated)
    note = f"{len(found)} images of different kinds: the first is used"
    return replace(first, notes=(*first.notes, note), stated=stated)


def _image(dataset: Mapping[str, Any], signal: Sequence[Mapping[str, Any]]) -> Content:
    data = np.asarray(dataset["data"])
    notes: tuple[str, ...] = ()
    is_colour = (data.dtype.names or ())[:3] == ("R", "G", "B")
    if is_colour:
        data, notes = grey(np.stack([data[name] for name in "RGB"], axis=-1))
    sizes = []
    for axis in signal:
        length = length_A(axis.get("units"))
        sizes.append(None if length is None else float(axis["scale"]) * length)
    pixel_sizes_A = None if None in sizes else tuple(sizes)
    return Content(data, pixel_sizes_A, notes, is_colour=is_colour)


def _stated(dataset: Mapping[str, Any]) -> Recorded:
    """Return the beam energy that a file states, if it does."""
    try:
        energy = float(dataset["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"])
    except (KeyError, TypeError, ValueError):
        return NOTHING
    return Recorded(energy) if math.isfinite(energy) and energy > 0 else NOTHING
