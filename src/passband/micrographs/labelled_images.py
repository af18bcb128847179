"""Images with the labels of a person, from which a network can learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from passband.errors import PassbandError
from passband.micrographs.images import readers
from passband.micrographs.labels import Labels
from passband.micrographs.predictions import output_names
from passband.micrographs.truth import EMPTY

#: The largest number of a particle, which files of 16 bits can have.
MOST_LABEL = 65_535
#: Pixel sizes that differ by more than this part are two.
_SAME_SIZE = 0.01
#: Side of the small pictures by which copies are found, the width of the smooth part that is taken
#: off them, the border where that is not exact [pixels], and the correlation of copies.
_THUMBNAIL = 64
_SMOOTH = 4.0
_BORDER = 8
_COPY = 0.9


@dataclass(frozen=True)
class LabelledImage:
    """An image and its labels.

    Attributes:
        image: (height, width) float32.
        labels: (height, width) int64, 0 in the background, and above 0 in particles.
    """

    path: Path
    image: np.ndarray
    labels: np.ndarray
    pixel_size_A: float

    @property
    def mask(self) -> np.ndarray:
        """The pixels in particles: (height, width) bool."""
        return self.labels > 0

    @property
    def is_numbered(self) -> bool:
        """Whether each particle has a number of its own, unlike in a mask."""
        return len(np.unique(self.labels[self.mask])) > 1 or readers.regions(self.labels) == 1


def read(
    paths: Sequence[Path], folder: Path, pixel_size_A: float | None = None
) -> list[LabelledImage]:
    """Return images with their labels.

    Args:
        paths: The files of the images, each with one image.
        folder: Has the labels: files with the names of the images, or those that ``predict`` has
            written and a person has corrected.
        pixel_size_A: For images that do not have one [Å].

    Raises:
        PassbandError: If a file is missing, damaged or a stack, if labels do not fit their image,
            or if images have two pixel sizes.
    """
    where = Labels(folder, pixel_size_A)
    where.check(paths)
    found = [
        _read(path, where.of(path, name), pixel_size_A)
        for path, name in zip(paths, output_names(paths), strict=True)
    ]
    first = found[0]
    for each in found:
        if abs(each.pixel_size_A / first.pixel_size_A - 1) > _SAME_SIZE:
            raise PassbandError(
                f"{each.path}: has pixels of {each.pixel_size_A:g} Å, and {first.path} of "
                f"{first.pixel_size_A:g} Å; give images of one pixel size"
            )
    return found


def _read(path: Path, file: Path, pixel_size_A: float | None) -> LabelledImage:
    """Return one image; `file` has its labels."""
    micrograph = readers.read(path, pixel_size_A)
    numbers = readers.read_numbers(file)
    for source, frames in ((path, micrograph.images), (file, numbers)):
        if len(frames) > 1:
            raise PassbandError(
                f"{source}: has {len(frames)} images; give a file for each, and one image of each "
                "region"
            )
    (image,) = micrograph.images
    (labels,) = numbers
    if labels.shape != image.shape:
        raise PassbandError(
            f"{file}: has {_sides(labels.shape)}, but {path} has {_sides(image.shape)}"
        )
    _check(file, labels)
    return LabelledImage(path, image, labels=labels, pixel_size_A=micrograph.pixel_size_A)


def _check(file: Path, labels: np.ndarray) -> None:
    """Raise PassbandError if nothing can be learned from labels."""
    least = int(labels.min())
    most = int(labels.max())
    if most == 0:
        raise PassbandError(f"{file}: has no particle: it is 0 everywhere")
    if least == most:
        raise PassbandError(f"{file}: has the value {most} everywhere, and no background of 0")
    if most > MOST_LABEL:
        raise PassbandError(f"{file}: has the number {most}; must be at most {MOST_LABEL}")
    part = float((labels > 0).mean())
    if part < EMPTY:
        raise PassbandError(
            f"{file}: its particles cover {part:.2%} of the image; must be at least {EMPTY:.0%}, "
            "since a few pixels decide about the Dice of less"
        )


def _sides(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} × {shape[1]} pixels"


def without_copies(images: Sequence[LabelledImage]) -> list[list[int]]:
    """Return the places of images in groups: those of a group are copies of one image.

    A copy may be turned, mirrored, reduced or saved in another format. Images are compared without
    their smooth part, which all images with the same uneven light have in common.
    """
    small = [_thumbnail(each.image) for each in images]
    groups: list[list[int]] = []
    for place, own in enumerate(small):
        turns = [np.rot90(flipped, k) for flipped in (own, own[:, ::-1]) for k in range(4)]
        alike = (g for g in groups if any(abs((t * small[g[0]]).mean()) > _COPY for t in turns))
        group = next(alike, None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    return groups


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """Return a small square picture with mean 0 and variance 1, without its smooth part."""
    size = (_THUMBNAIL, _THUMBNAIL)
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), np.float64)
    small = small - ndimage.gaussian_filter(small, _SMOOTH)
    small = small[_BORDER:-_BORDER, _BORDER:-_BORDER]
    return (small - small.mean()) / max(small.std(), 1e-12)
