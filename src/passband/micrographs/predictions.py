"""A file of images is read, segmented, compared with its ground truth, and written."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from passband.errors import PassbandError
from passband.micrographs import file_records, outputs, truth
from passband.micrographs.images import readers
from passband.micrographs.images.bars import Box
from passband.micrographs.images.readers import Micrograph
from passband.micrographs.images.segmentation import Segmentation, segment
from passband.micrographs.images.settings import Settings
from passband.micrographs.images.suffixes import suffix
from passband.micrographs.summary import Frame
from passband.micrographs.trust.trust import Assessor, Unassessed
from passband.network_id import NetworkId
from passband.seeds import digest
from passband.storage import atomic
from passband.version import __version__

if TYPE_CHECKING:
    from passband.micrographs.models.network import Network

#: From this ratio of the pixel sizes of image and network on, a note says so.
LARGER_PIXEL = 1.2
_LARGER = "the image lacks the finest detail of the training images, since its pixels are larger"
#: Stands for an assessor.
UNASSESSED = Unassessed("this was not asked for")
#: Most bytes of a file's name on Linux, and the longest end of an output file's name.
_MOST_BYTES, _LONGEST_END = 255, "_disagreement.ome.tif"


@dataclass(frozen=True)
class Prediction:
    """The results for one file.

    Attributes:
        frames: Its images.
        written: The output files.
        is_earlier: Whether an earlier run has made them.
    """

    path: Path
    frames: tuple[Frame, ...]
    written: tuple[Path, ...]
    is_earlier: bool = False

    @property
    def overlay(self) -> Path:
        """The picture that a user opens first."""
        return next(path for path in self.written if path.suffix == ".png")

    def lines(self, verbose: bool = False) -> list[str]:
        """Return what is said about the file; `verbose` adds each step of the preparation."""
        lines = []
        for frame in self.frames:
            lines += [frame.line, f"  {frame.verdict}"]
            lines += [f"  {step}" for step in (frame.done if verbose else frame.repairs)]
        notes = dict.fromkeys(note for frame in self.frames for note in frame.notes)
        return lines + [f"  {note}" for note in notes]


@dataclass(frozen=True)
class Predictor:
    """Segments files with the same networks and settings, and writes the results.

    Attributes:
        folder: The folder of the output files; None if none are written.
        pixel_size_A: The pixel size of files that do not have one [Å].
        masks: A folder of true masks, see :func:`passband.micrographs.truth.mask_of`.
        assessor: Assesses whether the masks can be trusted.
    """

    networks: Sequence["Network"]
    settings: Settings
    folder: Path | None = None
    pixel_size_A: float | None = None
    masks: Path | None = None
    assessor: Assessor | Unassessed = UNASSESSED

    def segment(
        self, micrograph: Micrograph, progress: Callable[[Iterable], Iterable] = iter
    ) -> list[Segmentation]:
        """Return the segmentation of each image of a file, in memory."""
        return segment_frames(
            micrograph.path,
            list(micrograph.images),
            micrograph.pixel_size_A,
            networks=self.networks,
            settings=self.settings,
            progress=progress,
            assessor=self.assessor,
        )

    def notes(self, micrograph: Micrograph) -> list[str]:
        """Return what the user should know about a file, whatever is found in it."""
        larger = micrograph.pixel_size_A > LARGER_PIXEL * self.networks[0].finest_A
        return [*micrograph.notes, *[_LARGER] * larger]

    def predict(
        self, path: Path, name: str, progress: Callable[[Iterable], Iterable] = iter
    ) -> Prediction:
        """Segment the images of a file, and write the results.

        If an earlier run has done the same, its results are returned. Nothing is written if an
        error is raised before all images are segmented.

        Args:
            path: The file, in a format that has a reader (docs/predict.md).
            name: The beginning of the names of the output files.

        Raises:
            PassbandError: If the file, its mask or its pixel size is wrong, or does not fit the
                networks.
        """
        mask = None if self.masks is None else truth.mask_of(path, self.masks)
        key = file_records.key([path, mask], self.values)
        if earlier := file_records.earlier(self.folder, name, key):
            return Prediction(path, *earlier, is_earlier=True)
        true = None if mask is None else truth.read(mask)
        micrograph = readers.read(path, self.pixel_size_A)
        size = micrograph.pixel_size_A
        notes = self.notes(micrograph)
        images = list(micrograph.images)
        del micrograph  # so that each frame of a large stack can be released
        shape = images[0].shape
        number = len(images)
        if true is not None and true.shape != (number, *shape):
            raise PassbandError(
                f"{path}: {_sides(number, shape)}, but its mask in {self.masks} has "
                f"{_sides(len(true), true.shape[1:])}"
            )
        shown = [outputs.reduced(image) for image in images]
        results = segment_frames(
            path,
            images,
            size,
            networks=self.networks,
            settings=self.settings,
            progress=progress,
            assessor=self.assessor,
        )
        notes += file_records.set_aside(self.folder, name)
        written = outputs.write(shown, results, self.folder, name)
        frames = tuple(
            Frame.of(
                result,
                notes,
                file=path.name,
                frame=k,
                number=number,
                networks=self.ids,
                dose_e_per_A2=self.settings.dose_e_per_A2,
                score=None if true is None else truth.score(result.mask, true[k], size),
            )
            for k, result in enumerate(results)
        )
        file_records.keep(self.folder, name, key, frames, written)
        return Prediction(path, frames, tuple(written))

    @property
    def ids(self) -> tuple[NetworkId, ...]:
        """The ids of the networks."""
        return tuple(network.id for network in self.networks)

    @cached_property
    def values(self) -> str:
        """A digest of all that results depend on beside the files."""
        weights = [blake2b(network.path.read_bytes()).hexdigest() for network in self.networks]
        settings = asdict(self.settings)
        names = list(map(str, self.ids))
        return digest(
            __version__, names, weights, settings, self.pixel_size_A, self.assessor.values
        )


def segment_frames(
    path: Path,
    frames: list[np.ndarray],
    pixel_size_A: float,
    networks: Sequence["Network"],
    settings: Settings,
    progress: Callable[[Iterable], Iterable] = iter,
    assessor: Assessor | Unassessed = UNASSESSED,
) -> list[Segmentation]:
    """Return the segmentation of each image of a file, with what the assessor says.

    `frames` is empty afterwards, so that each frame of a large stack can be released.
    """
    if truth.is_of_study(path):
        settings = _as_tested(settings, frames[0].shape)
    frames.reverse()
    results = []
    try:
        while frames:
            assessor.begin()
            watch = assessor.watch
            found = segment(
                frames.pop(),
                pixel_size_A,
                networks,
                settings=settings,
                progress=progress,
                watch=watch,
            )
            assessed = assessor.finish()
            results.append(
                replace(
                    found,
                    expected_dice=assessed.dice,
                    flags=(*found.flags, *assessed.reasons),
                    unassessed=assessed.unassessed,
                )
            )
    except PassbandError as error:
        raise PassbandError(f"{path}: {error}") from None
    return results


def _as_tested(settings: Settings, shape: tuple[int, int]) -> Settings:
    """Return the settings for a study's own images, which are prepared as in its tests.

    Their counts have the noise of the study, also if their pixels are small, and no background.
    """
    tested = {"filter_noise": False, "flat_field": False, "crop": str(Box.whole(shape))}
    return replace(settings, **{k: v for k, v in tested.items() if getattr(settings, k) is None})


def _sides(number: int, shape: Sequence[int]) -> str:
    images = f"{number} images of " if number > 1 else ""
    return f"{images}{' × '.join(map(str, shape))} pixels"


def output_names(paths: Sequence[Path]) -> list[str]:
    """Return the beginning of the names of the output files, for each input file.

    The beginning is the file's name without its suffix. Files whose names differ only in the suffix
    keep it.

    Raises:
        PassbandError: If two files in different folders have the same name, or if output files
            cannot have a name.
    """
    stems = [path.name[: len(path.name) - len(suffix(path))] or path.name for path in paths]
    stems = [stem.removesuffix(".ome") for stem in stems]
    shared = Counter(stem.lower() for stem in stems)
    names = [
        stem if shared[stem.lower()] == 1 else path.name
        for stem, path in zip(stems, paths, strict=True)
    ]
    seen: dict[str, Path] = {}
    for name, path in zip(names, paths, strict=True):
        if (other := seen.setdefault(name.lower(), path)) is not path:
            raise PassbandError(f"{path}: {other} has the same name; predict them in two commands")
        try:
            left = _MOST_BYTES - len(atomic.temporary(f"{name}{_LONGEST_END}").encode())
        except UnicodeEncodeError:
            raise PassbandError(f"{path}: its name is no UTF-8; rename it") from None
        if left < 0:
            raise PassbandError(
                f"{path}: its name is too long for output files, whose names are longer; make it "
                f"shorter by {-left} bytes"
            )
    return names
