"""The tables of a run: a row for each image, and a row for each particle."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from passband.errors import PassbandError
from passband.micrographs.images.particles import Particle, number_uncertain, sizes
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
        words = in_words(self.particles, self.confidence, self.disagreement, self.flags)
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
        """The diameters of the particles that count and do not touch the edge of the image [nm]."""
        return sizes(self.particles)

    @property
    def uncertain(self) -> int:
        """The number of particles that do not count."""
        return number_uncertain(self.particles)

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
    "particles": lambda each: "" if each.error else len(each.particles) - each.uncertain,
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
    "diameter_nm": lambda each: number(each.diameter_nm),
    "x_nm": lambda each: number(each.x_nm),
    "y_nm": lambda each: number(each.y_nm),
    "touches_edge": lambda each: "yes" if each.touches_edge else "no",
    "mean_probability": lambda each: number(each.mean_probability),
    "solidity": lambda each: number(each.solidity),
    "feret_diameter_nm": lambda each: number(each.feret_diameter_nm),
    "neck_ratio": lambda each: number(each.neck_ratio),
}

#: The further columns if a head has found the particles of an image.
HEAD_COLUMNS: dict[str, Callable[[Particle], object]] = {
    "certainty": lambda each: number(each.certainty),
    "overlapped": lambda each: "yes" if each.overlapped else "no",
}

_OF_IMAGE = "file", "frame", "flagged"
#: How each table begins.
_HEAD = b"file,frame,"


def check(folder: Path) -> None:
    """Check that tables can be written to a folder.

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


def write(frames: Sequence[Frame], folder: Path) -> list[Path]:
    """Write the tables of a run, each whole or not at all, and the summary last.

    Rows of other files, which an earlier run of this version has written, stay and come first.

    Args:
        frames: All images of the run, in their order, also those that failed.

    Returns:
        The files.
    """
    own = {each.file for each in frames}
    images = [
        row
        for row in _rows(folder / SUMMARY, [*IMAGE_COLUMNS])
        if row["version"] == __version__ and row["file"] not in own
    ]
    files = {row["file"] for row in images}
    every = PARTICLE_COLUMNS | HEAD_COLUMNS
    particles = [
        row
        for row in _rows(folder / PARTICLES, [*_OF_IMAGE, *PARTICLE_COLUMNS], [*HEAD_COLUMNS])
        if row["file"] in files
    ]
    has_head = any(each.head for each in frames) or any("certainty" in row for row in particles)
    columns = every if has_head else PARTICLE_COLUMNS
    for image in frames:
        images.append({name: cell(image) for name, cell in IMAGE_COLUMNS.items()})
        of_image = {name: IMAGE_COLUMNS[name](image) for name in _OF_IMAGE}
        for particle in image.particles:
            cells = {name: cell(particle) for name, cell in columns.items()}
            particles.append(of_image | cells)
    _write(folder / PARTICLES, [*_OF_IMAGE, *columns], particles)
    _write(folder / SUMMARY, [*IMAGE_COLUMNS], images)
    return [folder / PARTICLES, folder / SUMMARY]


def _rows(path: Path, columns: list[str], further: Sequence[str] = ()) -> list[dict[str, object]]:
    """Return the rows of an earlier run; none of a table with other columns, or a damaged one."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error):
        return []
    head = found[0] if found else []
    if head not in (columns, [*columns, *further]):
        return []
    return [dict(zip(head, cells, strict=True)) for cells in found[1:] if len(cells) == len(head)]


def _write(path: Path, head: list[str], rows: Sequence[dict[str, object]]) -> None:
    with replacing(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, head)
        table.writeheader()
        table.writerows(rows)
