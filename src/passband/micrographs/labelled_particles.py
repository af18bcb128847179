"""Particles that a person has labelled, or whose labels a person has corrected, are measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from passband.errors import ArgumentError, PassbandError
from passband.micrographs.images import bars, own_outputs, particles, readers
from passband.micrographs.images.particles import Particle
from passband.micrographs.images.suffixes import companions, suffix
from passband.micrographs.summary import Frame
from passband.units import A_PER_NM
from passband.words import number_of


@dataclass(frozen=True)
class Labels:
    """Where the labels of images are, and how they are measured.

    Attributes:
        path: A file, or a folder with a file for each image.
        pixel_size_A: The pixel size of images that do not have one [Å].
        crop: The part of the images that is used, see
            :class:`passband.micrographs.images.settings.Settings`.
    """

    path: Path
    pixel_size_A: float | None = None
    crop: str | None = None

    def check(self, paths: Sequence[Path]) -> None:
        """Raise PassbandError if the path is missing, or is one file for several images."""
        if not self.path.exists():
            raise ArgumentError(f"labels = {str(self.path)!r}: there is no such file or folder")
        if len(paths) > 1 and not self._is_folder:
            raise ArgumentError(
                f"labels = {str(self.path)!r}: is one file for {len(paths)} images; give a "
                "folder of files with the names of the images"
            )

    @property
    def _is_folder(self) -> bool:
        return self.path.is_dir() and suffix(self.path) != ".zarr"

    def of(self, path: Path, name: str) -> Path:
        """Return the file with the labels of an image.

        In a folder, it has the name of the image, or the name that ``predict`` gives it.

        Args:
            name: The beginning of the names of the image's output files.
        """
        if not self._is_folder:
            return self.path
        written = own_outputs.file_name(name, "instances")
        for found in (*companions(path, self.path), self.path / written):
            if found.exists() and not found.samefile(path):
                return found
        raise PassbandError(f"{path}: there are no labels {path.name} or {written} in {self.path}")

    def frames(self, path: Path, name: str) -> tuple[Frame, ...]:
        """Return the images of a file, with the particles of their labels.

        Raises:
            PassbandError: If the image, its pixel size or its labels are wrong or missing, or have
                other shapes.
        """
        file = self.of(path, name)
        image = readers.read(path, self.pixel_size_A)
        labels = readers.read_labels(file)
        if labels.shape != image.images.shape:
            raise PassbandError(
                f"{file}: {_sides(labels.shape)}, but {path} has {_sides(image.images.shape)}"
            )
        return tuple(
            self._frame(
                grey,
                found,
                file,
                file=path.name,
                frame=k,
                number=len(labels),
                pixel_size_A=image.pixel_size_A,
                notes=image.notes,
            )
            for k, (grey, found) in enumerate(zip(image.images, labels, strict=True))
        )

    def _frame(self, image: np.ndarray, labels: np.ndarray, source: Path, **others) -> Frame:
        box = bars.used(image, self.crop)
        repairs = box.cut(image.shape)
        pixel_nm = others["pixel_size_A"] / A_PER_NM
        return Frame(
            shape=box.shape,
            done=(*repairs, f"particles of {source.name}"),
            repairs=repairs,
            particles=tuple(_measured(labels[box.place], box, pixel_nm)),
            unassessed=f"its particles are those of {source.name}",
            **others,
        )


def _measured(labels: np.ndarray, box: bars.Box, pixel_nm: float) -> list[Particle]:
    """Return the particles of the used part of a label image, whose numbers may have gaps."""
    numbers, places = np.unique(labels, return_inverse=True)
    places = places.reshape(labels.shape)
    if numbers[0] != 0:  # no pixel is background
        numbers = np.append(0, numbers)
        places = places + 1
    return [
        replace(each.moved(box.x0 * pixel_nm, box.y0 * pixel_nm), label=int(numbers[each.label]))
        for each in particles.measure(places, pixel_nm)
    ]


def _sides(shape: tuple[int, ...]) -> str:
    number, height, width = shape
    return f"{number_of(number, 'image')} of {height} × {width} pixels"
