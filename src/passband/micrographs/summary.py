"""The tables of a run: a row for each image, and a row for each particle."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from passband.errors import PassbandError
from passband.micrographs.images.particles import Particle, number_overlapped, sizes
from passband.micrographs.images.segmentation import Segmentation, in_words, verdict
from passband.micrographs.truth import Score
from passband.prediction.json_values import Ids, JsonValues
from passband.prediction.recommend.network_dice import Dice
from passband.storage import integrity
from passband.storage.atomic import replacing
from passband.units import A_PER_NM
from passband.version import __version__

#: The names of the tables.
SUMMARY = "summary.csv"
PARTICLES = "particles.csv"


@dataclass(frozen=True)
class Frame(JsonValues):
    """What the tables have of one image, without its arrays; or of a file that failed.

    Attributes:
        file: The name of its file.
        frame: Its place in the file, from 0 on. None if the file failed.
        number: The number of images in the file.
        networks: The networks; none if a person has labelled the particles.
        shape: Height and width of the part of the image that was used [pixels].
        pixel_size_A: Side of a pixel [Å].
        dose_e_per_A2: The dose, if it was given [e/Å²].
        disagreement: The mean over the image; None with one network.
        notes: What the user should know about the file or the result, one line each.
        score: The agreement with the true mask, if there is one.
        error: Why the file failed, in one line.

    The other attributes are those of
    :class:`passband.micrographs.images.segmentation.Segmentation`.
    """

    file: str
    frame: int | None = None
    number: int = 1
    networks: Ids = ()
    shape: tuple[int, int] = (0, 0)
    pixel_size_A: float | None = None
    dose_e_per_A2: float | None = None
    done: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    particles: tuple[Particle, ...] = ()
    confidence: float | None = None
    disagreement: float | None = None
    expected_dice: Dice | None = None
    flags: tuple[str, ...] = ()
    unassessed: str = ""
    head: str = ""
    notes: tuple[str, ...] = ()
    score: Score | None = None
    error: str = ""

    @classmethod
    def of(cls, result: Segmentation, notes: Sequence[str] = (), **others) -> "Frame":
        """Return the frame of an image.

        Args:
            notes: Those of its file, to which those of the result are added.
            **others: The attributes that the result has not.
        """
        spread = result.disagreement
        return cls(
            shape=result.labels.shape if result.box is None else result.box.shape,
            pixel_size_A=result.pixel_size_A,
            done=result.done,
            repairs=result.repairs,
            particles=tuple(result.particles),
            confidence=result.confidence,
            disagreement=None if spread is None else float(spread.mean(dtype="f8")),
            expected_dice=result.expected_dice,
            flags=result.flags,
            unassessed=result.unassessed,
            head=result.head,
            notes=tuple(dict.fromkeys((*notes, *result.notes))),
            **others,
        )

    @property
    def name(self) -> str:
        """The name of the file, with the place of the image if the file is a stack."""
        return self.file if self.number == 1 else f"{self.file} frame {self.frame}"

    @property
    def line(self) -> str:
        """The result in one line."""
        words = in_words(self.particles, self.confidence, self.disagreement)
        scored = "" if self.score is None else f"; {self.score}"
        return f"{self.name}: {words}{scored}"

    @property
    def verdict(self) -> str:
        """Whether to trust the mask, in one sentence."""
        return verdict(self.expected_dice, self.flags, self.unassessed)

    @property
    def field_nm(self) -> tuple[float, float]:
        """Height and width of the image [nm]."""
        pixel_nm = (self.pixel_size_A or 0) / A_PER_NM
        height, width = self.shape
        return height * pixel_nm, width * pixel_nm

    @property
    def whole(self) -> list[float]:
        """The diameters of the particles that do not touch the edge of the image [nm].

        Those of which a part may be covered, and a head does not say how large they are, are left
        out.
        """
        return sizes(self.particles)

    @property
    def overlapped(self) -> int:
        """The number of particles that `whole` leaves out because a part may be covered."""
        return number_overlapped(self.particles)

    @property
    def flagged(self) -> str:
        """``yes`` if the image is unlike the training images, ``no``, or empty if not assessed."""
        if self.flags:
            return "yes"
        return "" if self.expected_dice is None else "no"


def number(value: float | None) -> str:
    """Return a number with six digits; None and NaN are empty cells."""
    return "" if value is None or value != value else f"{value:.6g}"


#: The columns of the summary, each with the cell of an image.
IMAGE_COLUMNS: dict[str, Callable[[Frame], object]] = {
    "file": lambda each: each.file,
    "frame": lambda each: "" if each.frame is None else each.frame,
    "pixel_size_A": lambda each: number(each.pixel_size_A),
    "dose_e_per_A2": lambda each: number(each.dose_e_per_A2),
    "done": lambda each: " | ".join(each.done),
    "particles": lambda each: "" if each.error else len(each.particles),
    "whole_particles": lambda each: "" if each.error else len(each.whole),
    "mean_diameter_nm": lambda each: number(fmean(each.whole) if each.whole else None),
    "sd_diameter_nm": lambda each: number(stdev(each.whole) if len(each.whole) > 1 else None),
    "confidence": lambda each: number(each.confidence),
    "expected_dice": lambda each: number(each.expected_dice and each.expected_dice.value),
    "expected_dice_low": lambda each: number(each.expected_dice and each.expected_dice.low),
    "expected_dice_high": lambda each: number(each.expected_dice and each.expected_dice.high),
    "flagged": lambda each: each.flagged,
    "flags": lambda each: " | ".join(each.flags),
    "not_assessed": lambda each: each.unassessed,
    "dice": lambda each: number(each.score and each.score.dice),
    "networks": lambda each: " | ".join(map(str, each.networks)),
    "version": lambda each: __version__,
    "error": lambda each: each.error,
}

#: The columns of the table of particles, each with the cell of a particle. Before them come those
#: of its image: `file`, `frame` and `flagged`.
PARTICLE_COLUMNS: dict[str, Callable[[Particle], object]] = {
    "particle": lambda each: each.label,
    "area_nm2": lambda each: number(each.area_nm2),
    "equivalent_diameter_nm": lambda each: number(each.diameter_nm),
    "x_nm": lambda each: number(each.x_nm),
    "y_nm": lambda each: number(each.y_nm),
    "touches_edge": lambda each: "yes" if each.touches_edge else "no",
    "mean_probability": lambda each: number(each.mean_probability),
    "found_in": lambda each: number(each.found_in),
    "solidity": lambda each: number(each.solidity),
    "feret_diameter_nm": lambda each: number(each.feret_diameter_nm),
    "neck_ratio": lambda each: number(each.neck_ratio),
}

#: The further columns if a head has found the particles of an image.
HEAD_COLUMNS: dict[str, Callable[[Particle], object]] = {
    "amodal_diameter_nm": lambda each: number(each.amodal_diameter_nm),
    "certainty": lambda each: number(each.certainty),
    "overlapped": lambda each: "yes" if each.overlapped else "no",
}

_OF_IMAGE = "file", "frame", "flagged"
#: How each table begins.
_HEAD = b"file,frame,"


def clear(folder: Path) -> None:
    """Remove the tables of an earlier run from a folder.

    Raises:
        PassbandError: If a file has the name of a table, and is not one.
    """
    for name in (SUMMARY, PARTICLES):
        path = folder / name
        if not path.exists() and not path.is_symlink():
            continue
        integrity.check_regular(path)
        with path.open("rb") as file:
            if not file.read(len(_HEAD)) == _HEAD:
                raise PassbandError(f"{path}: was not written by `predict`; give another --out")
    for name in (SUMMARY, PARTICLES):
        (folder / name).unlink(missing_ok=True)


def write(frames: Sequence[Frame], folder: Path) -> list[Path]:
    """Write the tables of a run, each whole or not at all, and the summary last.

    Args:
        frames: All images of the run, in their order, also those that failed.

    Returns:
        The files.
    """
    columns = PARTICLE_COLUMNS | (HEAD_COLUMNS if any(each.head for each in frames) else {})
    of_particles = (
        [*(IMAGE_COLUMNS[name](image) for name in _OF_IMAGE), *_cells(columns, particle)]
        for image in frames
        for particle in image.particles
    )
    _write(folder / PARTICLES, [*_OF_IMAGE, *columns], of_particles)
    _write(folder / SUMMARY, [*IMAGE_COLUMNS], (_cells(IMAGE_COLUMNS, each) for each in frames))
    return [folder / PARTICLES, folder / SUMMARY]


def _cells(columns, each) -> list[object]:
    return [cell(each) for cell in columns.values()]


def _write(path: Path, head, rows) -> None:
    with replacing(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(rows)
