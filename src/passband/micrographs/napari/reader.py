"""Reads images of electron microscopes for napari, with the scale in nm."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from passband.micrographs.images import readers
from passband.micrographs.napari.shown import Shown
from passband.results import published

#: Data, keyword arguments and kind of a layer.
LayerData = tuple[np.ndarray, dict, str]


def reader_of(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]]:
    """Return the function that reads a file, or several files, as layers of napari."""
    return read


def read(path: str | Sequence[str]) -> list[LayerData]:
    """Return a layer for each file; a stack is one layer, (frames, height, width).

    A file without a pixel size has no scale.

    Raises:
        PassbandError: If a file is damaged or has no image that Passband reads.
    """
    return [_layer(Path(each)) for each in ([path] if isinstance(path, str) else path)]


def sample() -> list[LayerData]:
    """Return the simulated image of the package."""
    return [_layer(published.SAMPLE)]


def _layer(path: Path) -> LayerData:
    images, pixel_size_A = readers.preview(path)
    images = images[0] if len(images) == 1 else images
    shown = Shown(images, path.name, path, pixel_size_A)
    return images, {"name": shown.name, **shown.place}, "image"
