"""An image that napari shows, its file and its pixel size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.images import pixel_size, readers, suffixes
from passband.results import published
from passband.units import A_PER_NM

#: The key of a layer's metadata under which Passband keeps what it knows.
KEY = "passband"
#: The name of the folder beside an image in which its output files are written.
FOLDER = "predictions"


@dataclass(frozen=True)
class Shown:
    """An image, or a stack of images.

    Attributes:
        images: (height, width) or (frames, height, width).
        name: The name of the layer.
        file: The file that has the image; None if no file that Passband reads has it.
        pixel_size_A: [Å]; None if it is not known.
    """

    images: np.ndarray
    name: str
    file: Path | None
    pixel_size_A: float | None

    @classmethod
    def of(cls, layer: Any, pixel_size_A: float | None = None) -> "Shown":
        """Return the image of a layer of napari.

        Args:
            layer: None if there is no layer.
            pixel_size_A: The user's pixel size, which wins over that of the layer and its file [Å].

        Raises:
            PassbandError: If there is no layer, no pixel size or a wrong one, or if the image is in
                colour.
        """
        if layer is None:
            raise PassbandError("no image: open one, such as File > Open Sample > Passband")
        if layer.rgb:
            raise PassbandError(f"{layer.name}: is in colour (RGB); give an image in grey values")
        pixel_size.check_option(pixel_size_A)
        file = _file(layer)
        size = pixel_size_A or layer.metadata.get(KEY, {}).get("pixel_size_A") or _stated(file)
        if size is None:
            raise PassbandError(f"{layer.name}: has no pixel size; give it in Å")
        images = np.asarray(layer.data[0] if layer.multiscale else layer.data)
        return cls(images, layer.name, file, size)

    @property
    def place(self) -> dict[str, Any]:
        """Scale, units and metadata for a layer that shows this image, or labels of it."""
        known = {"file": str(self.file or ""), "pixel_size_A": self.pixel_size_A}
        if self.pixel_size_A is None:
            return {"metadata": {KEY: known}}
        frames = self.images.ndim - 2
        nm = self.pixel_size_A / A_PER_NM
        return {
            "scale": (*[1.0] * frames, nm, nm),
            "units": (*["pixel"] * frames, "nm", "nm"),
            "metadata": {KEY: known},
        }

    @property
    def folder(self) -> Path:
        """Where output files are written if the user names no folder: beside the image.

        For the package's sample, and for an image without a file, it is in the working directory.
        """
        has_own = self.file is not None and self.file != published.SAMPLE
        return self.file.absolute().parent / FOLDER if has_own else Path(FOLDER).absolute()


def _file(layer: Any) -> Path | None:
    """Return the file of a layer, if Passband reads it."""
    source = layer.metadata.get(KEY, {}).get("file") or layer.source.path
    path = Path(str(source or ""))
    return path if source and path.exists() and suffixes.is_image(path) else None


def _stated(file: Path | None) -> float | None:
    """Return the pixel size that a file states [Å], if there is one."""
    if file is None:
        return None
    try:
        return readers.preview(file)[1]
    except PassbandError:
        return None
