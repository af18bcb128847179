"""A file of images is read, segmented, compared with its ground truth, and written."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from passband import PassbandError, scores
from passband.learning.network_files import Network
from passband.micrographs import outputs
from passband.micrographs.images import readers
from passband.micrographs.images.formats import FORMATS, suffix
from passband.micrographs.images.segmentation import Segmentation, Settings, is_flattened, segment
from passband.micrographs.trust.trust import Assessment, Assessor
from passband.storage import StoreError, atomic, datasets, integrity, json_text
from passband.units import A_PER_NM

#: From this ratio of the pixel sizes of image and network on, a note recommends `--adapt`.
LARGER_PIXEL = 1.2
#: Most bytes of a file's name on Linux, and the longest end of an output file's name.
_MOST_BYTES, _LONGEST_END = 255, "_disagreement.ome.tif"
#: An image whose ground truth covers less than this fraction of it is not part of the mean Dice: a
#: few wrong pixels decide about its Dice.
EMPTY = 0.01


@dataclass(frozen=True)
class Score:
    """How the mask of one image agrees with its ground truth.

    Attributes:
        counts: (3,) int64, pixels in the order of :data:`passband.scores.OUTCOMES`.
        pixel_nm2: The area of a pixel [nm²].
    """

    counts: np.ndarray
    pixel_nm2: float
    pixels: int

    @property
    def true_fraction(self) -> float:
        """The part of the image that is in particles by the ground truth."""
        return float(self.counts[0] + self.counts[2]) / self.pixels

    @property
    def is_empty(self) -> bool:
        """Whether the ground truth has hardly any particle, see :data:`EMPTY`."""
        return self.true_fraction < EMPTY

    @property
    def dice(self) -> float:
        """The Dice score."""
        return float(scores.dice(self.counts))

    @property
    def false_positive_nm2(self) -> float:
        """The area of pixels that are wrongly predicted to be in a particle [nm²]."""
        return float(self.counts[1]) * self.pixel_nm2

    def __str__(self) -> str:
        if self.is_empty:
            part = self.true_fraction
            truth = f"truth covers {part:.2%}" if part else "empty truth"
            return f"{truth}, false-positive area {self.false_positive_nm2:.4g} nm²"
        precision, recall = scores.precision(self.counts), scores.recall(self.counts)
        return f"Dice {self.dice:.3f}, precision {precision:.3f}, recall {recall:.3f}"


@dataclass(frozen=True)
class Prediction:
    """The results for one file.

    Attributes:
        lines: What is printed about the file.
        names: A name for each image of the file: the file's name, with the number of the frame if
            the file is a stack.
        scores: A score for each image; empty without ground truth.
        written: The output files.
        assessments: Whether the mask of each image can be trusted; empty if this was not assessed.
    """

    path: Path
    lines: tuple[str, ...]
    names: tuple[str, ...]
    scores: tuple[Score, ...]
    written: tuple[Path, ...]
    assessments: tuple[Assessment, ...] = ()

    @property
    def overlay(self) -> Path:
        """The picture that a user opens first."""
        return next(path for path in self.written if path.suffix == ".png")


def predict_file(
    path: Path,
    networks: Sequence[Network],
    settings: Settings,
    folder: Path,
    name: str,
    pixel_size_A: float | None = None,
    truth: Path | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
    assessor: Assessor | None = None,
) -> Prediction:
    """Segment the images of a file, and write the results.

    Nothing is written if an error is raised before all images are segmented.

    Args:
        path: The file, in a format of :data:`passband.micrographs.images.formats.FORMATS`.
        folder: The folder of the output files.
        name: The beginning of the names of the output files.
        pixel_size_A: The pixel size, if the file does not have one [Å].
        truth: A folder of masks. The mask has the name of the file, or the same name with another
            suffix.
        assessor: Assesses whether the masks can be trusted.

    Raises:
        PassbandError: If the file, its mask or its pixel size is wrong, or does not fit the
            networks.
    """
    true = None if truth is None else _read_mask(_mask_of(path, truth))
    micrograph = readers.read(path, pixel_size_A)
    size, notes = micrograph.pixel_size_A, list(micrograph.notes)
    frames = list(micrograph.images)
    del micrograph  # so that each frame of a large stack can be released
    shape, number = frames[0].shape, len(frames)
    if true is not None and true.shape != (number, *shape):
        raise PassbandError(
            f"{path}: {_sides(number, shape)}, but its mask in {truth} has "
            f"{_sides(len(true), true.shape[1:])}"
        )
    shown = [outputs.reduced(frame) for frame in frames]
    results, assessments = segment_frames(
        path, frames, size, networks, settings, progress, assessor
    )
    written = outputs.write(shown, results, folder, name)
    names = tuple(f"{path.name} frame {k}" if number > 1 else path.name for k in range(number))
    lines = [f"{each}: {_line(result)}" for each, result in zip(names, results, strict=True)]
    found: tuple[Score, ...] = ()
    if true is not None:
        found = tuple(
            score(result.mask, mask, size) for result, mask in zip(results, true, strict=True)
        )
        lines = [f"{line}; {each}" for line, each in zip(lines, found, strict=True)]
    # The assessment and the noise of each frame follow its line.
    below = [list(result.noise) for result in results]
    if assessments:
        below = [[*found.lines, *of] for found, of in zip(assessments, below, strict=True)]
    pairs = zip(lines, below, strict=True)
    lines = [text for line, of in pairs for text in (line, *(f"  {each}" for each in of))]
    first = networks[0]
    flat = "flattened" if is_flattened(shape, size, first, settings) else "not flattened"
    sizes = [f"{each:g}" for each in dict.fromkeys(n.pixel_size_A for n in networks)]
    lines.append(
        f"  pixels of {size:g} Å resampled to {' and '.join(sizes)} Å "
        f"(factor {size / first.pixel_size_A:.4g}), field {flat}"
    )
    finest = max(first.pixel_size_A, first.microscope.detector.noise.stored_pixel_A)
    if size > LARGER_PIXEL * finest and not settings.adapt:
        notes.append(
            "the image lacks the finest detail of the training images, since its pixels are "
            "larger; compare with --adapt"
        )
    notes += [note for result in results for note in result.notes]
    lines += [f"  {note}" for note in dict.fromkeys(notes)]
    return Prediction(path, tuple(lines), names, found, tuple(written), tuple(assessments))


def segment_frames(
    path: Path,
    frames: list[np.ndarray],
    pixel_size_A: float,
    networks: Sequence[Network],
    settings: Settings,
    progress: Callable[[Iterable], Iterable] = iter,
    assessor: Assessor | None = None,
) -> tuple[list[Segmentation], list[Assessment]]:
    """Return the segmentation and the assessment of each image of a file, see `predict_file`.

    `frames` is empty afterwards, so that each frame of a large stack can be released.
    """
    if settings.filter_noise is None and _is_of_study(path):
        # The counts have the noise of their study, also if their pixels are small.
        settings = replace(settings, filter_noise=False)
    frames.reverse()
    results, assessments = [], []
    watch = assessor and assessor.watch
    try:
        while frames:
            if assessor is not None:
                assessor.begin()
            results.append(segment(frames.pop(), pixel_size_A, networks, settings, progress, watch))
            if assessor is not None:
                assessments.append(assessor.finish())
    except PassbandError as error:
        raise PassbandError(f"{path}: {error}") from None
    return results, assessments


def _sides(number: int, shape: Sequence[int]) -> str:
    images = f"{number} images of " if number > 1 else ""
    return f"{images}{' × '.join(map(str, shape))} pixels"


def _line(result: Segmentation) -> str:
    number = len(result.particles)
    words = [f"{number} particle{'s' * (number != 1)}"]
    if number:
        words.append(f"mean diameter {result.mean_diameter_nm:.3g} nm")
    words.append(f"confidence {result.confidence:.3f}")
    if result.disagreement is not None:
        words.append(f"disagreement {result.disagreement.mean(dtype=np.float64):.3f}")
    return ", ".join(words)


def score(mask: np.ndarray, true: np.ndarray, pixel_size_A: float) -> Score:
    """Return the score of a mask.

    Args:
        mask, true: (height, width) bool, the predicted mask, and the ground truth.
    """
    counts = scores.counts_of_masks(mask, true)
    return Score(counts, (pixel_size_A / A_PER_NM) ** 2, mask.size)


def truth_lines(predictions: Sequence[Prediction]) -> list[str]:
    """Return the lines about all images with a ground truth. The mean Dice is in the last line.

    Images whose truth is (nearly) empty, see :data:`EMPTY`, are not part of the mean. They are
    listed with the area that is wrongly predicted to be in particles.
    """
    pairs = [pair for each in predictions for pair in zip(each.names, each.scores, strict=True)]
    full = [score.dice for _, score in pairs if not score.is_empty]
    lines = [f"not in the mean: {name}, {score}" for name, score in pairs if score.is_empty]
    if not full:
        return [*lines, f"no mean Dice: no image has a truth that covers {EMPTY:.0%} of it or more"]
    return [*lines, f"mean Dice {np.mean(full):.3f} over {len(full)} image{'s' * (len(full) != 1)}"]


def _mask_of(path: Path, truth: Path) -> Path:
    """Return the mask of a file in a folder of masks."""
    stem = path.name.removesuffix(suffix(path))
    others = (truth / f"{stem}{each}" for each in FORMATS)
    for found in (truth / path.name, *others):
        if not found.exists():
            continue
        if found.samefile(path) and suffix(path) != ".zarr":
            raise PassbandError(f"{path}: is in the folder of masks {truth}; give another folder")
        return found
    raise PassbandError(f"{path}: there is no mask {path.name} in {truth}")


def _is_of_study(path: Path) -> bool:
    """Return whether a file is a study's store of simulated images."""
    if suffix(path) == ".zarr":
        with contextlib.suppress(OSError, ValueError, KeyError, AttributeError, StoreError):
            integrity.check_regular(path)
            root = json_text.read(path / "zarr.json")
            return root["attributes"].get("kind") == datasets.IMAGES
    return False


def _read_mask(path: Path) -> np.ndarray:
    """Return a mask, (frames, height, width) bool. A study's store of images has its own masks."""
    if _is_of_study(path):
        return datasets.read(path, datasets.IMAGES, ["mask"])["mask"].values > 0
    return readers.read_mask(path)


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
