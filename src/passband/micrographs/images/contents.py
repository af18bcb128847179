"""What a file of images contains, and its images as grey values."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from passband.micrographs.images import declared
from passband.micrographs.images.file_metadata import NOTHING, Recorded


@dataclass(frozen=True)
class Content:
    """The content of a file.

    Attributes:
        images: (height, width) or (frames, height, width), grey values, in the type of the file.
        pixel_sizes_A: Pixel size along height and width [Å], or None if the file has no pixel size.
        notes: What the user should know about how the file was read.
        stated: What the file states about the microscope.
        is_colour: Whether the grey values are means of colours.
    """

    images: np.ndarray
    pixel_sizes_A: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    stated: Recorded = NOTHING
    is_colour: bool = False


def of_array(values: np.ndarray) -> Content:
    """Return an array without names of axes. A last axis of 3 or 4 bytes is colour."""
    if values.ndim == 3 and values.shape[-1] in (3, 4) and values.dtype == np.uint8:
        return in_colour(values)
    return Content(values)


def grey(colours: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the grey of images, colours averaged and transparency left out, and a note."""
    if colours.shape[-1] == 2:
        return colours[..., 0], ("the transparency of the image is ignored",)
    mean = colours[..., :3].mean(axis=-1, dtype=np.float32)
    return mean, ("a colour image: the mean of red, green and blue is used",)


def in_colour(images: np.ndarray) -> Content:
    """Return images (…, 3 or 4) as grey values, see :func:`grey`."""
    values, notes = grey(images)
    return Content(values, None, notes, is_colour=images.shape[-1] > 2)


def pillow(path: Path, kind: str) -> Content:
    """Return the frames of a PNG, JPEG or TIFF file, read with Pillow."""
    from PIL import Image, ImageSequence

    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = 2**31  # the default refuses images of 16k × 16k pixels
    try:
        # libtiff, below Pillow, writes to the process's standard error, not to Python's.
        quiet = _no_standard_error() if kind == "TIFF" else contextlib.nullcontext()
        with quiet, Image.open(path, formats=[kind]) as file:
            declared.check(path, (getattr(file, "n_frames", 1), file.height, file.width))
            frames = []
            for frame in ImageSequence.Iterator(file):
                if frame.mode in ("P", "PA", "CMYK", "YCbCr"):
                    frame = frame.convert("RGB")
                frames.append(np.array(frame))
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    images = np.stack(frames) if len(frames) > 1 else frames[0]
    if frame.mode in ("LA", "La"):
        return Content(images[..., 0])
    if frame.mode in ("RGB", "RGBA", "RGBa", "RGBX"):
        return in_colour(images)
    return Content(images)


@contextlib.contextmanager
def _no_standard_error() -> Iterator[None]:
    """Send what libraries in C write to standard error to nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
