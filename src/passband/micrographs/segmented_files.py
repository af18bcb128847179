"""The results for many files: their images, why files failed, and the tables of all of them."""

import shlex
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passband.console import escaped
from passband.errors import ArgumentError
from passband.micrographs import batch, file_records, predictions, size_figure, summary, truth
from passband.micrographs.batch import Task
from passband.micrographs.images import pixel_size, readers, suffixes
from passband.micrographs.images.segmentation import new_study
from passband.micrographs.labelled_particles import Labels
from passband.micrographs.predictions import Prediction
from passband.micrographs.summary import Frame
from passband.outcomes import Outcome, Progress
from passband.words import number_of

#: What the expected Dice of several images does not say (docs/trust.md).
_NO_ORDER = "expected Dice compares preparations of one image; that it orders images is not shown"


@dataclass(frozen=True)
class SegmentedFiles(Outcome):
    """What was found in many files, which is written to a folder.

    Attributes:
        images: What the tables have of each image, and of each file that failed, in their order.
        number: The number of files.
        failures: Why files failed, one line each.
        written: The files of the folder that belong to these images.
        lines: What is said about each image.
        closing: What is said about all files together.
    """

    folder: Path
    images: tuple[Frame, ...]
    number: int
    failures: tuple[str, ...]
    written: tuple[Path, ...]
    lines: tuple[str, ...]
    closing: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(map(escaped, [*self.lines, *self.closing, *self.failures]))

    def values(self) -> dict[str, Any]:
        """Return the content for JSON: a verdict on each image, and what the tables have of it."""
        return {
            "folder": self.folder,
            "images": [image.to_values() | {"verdict": image.verdict} for image in self.images],
            "failures": self.failures,
            "written": self.written,
        }


def segment(
    tasks: Sequence[Task],
    folder: Path,
    *,
    jobs: int = 1,
    verbose: bool = False,
    remarks: Sequence[str] = (),
    report: Callable[[str], object] = lambda line: None,
    progress: Progress | None = None,
) -> SegmentedFiles:
    """Segment files and write the results; a file that fails does not stop the others.

    Only what the tables have of an image stays in memory. What an earlier run has done is not done
    again, and its rows stay in the tables.

    Args:
        jobs: Number of processes.
        verbose: Whether each step of the preparation is reported.
        remarks: What else is said about all files.
        report: Receives what is said about each file as soon as it is written, line by line.
    """
    _begin(folder)
    files = 0
    done: list[Prediction] = []
    images: list[Frame] = []
    failures: list[str] = []
    lines: list[str] = []

    def tiles(every: Iterable) -> Iterable:
        """Say which tile of a file is next."""
        every = list(every)
        for number, tile in enumerate(every, 1):
            if progress is not None:
                progress(files, len(tasks), f"tile {number} of {len(every)}")
            yield tile

    outcomes = batch.outcomes(tasks, jobs, tiles)
    try:
        for files, (task, outcome) in enumerate(zip(tasks, outcomes, strict=True), 1):
            if progress is not None:
                progress(files, len(tasks), "files")
            images += task.frames(outcome)
            if isinstance(outcome, str):
                failures.append(outcome)
                continue
            done.append(outcome)
            for line in outcome.lines(verbose):
                lines.append(line)
                report(line)
    except BaseException:  # such as Ctrl-C: what is done stays in the tables
        summary.write(images, folder)
        raise
    tables, sizes = _tables(images, folder)
    written = [file for each in done for file in each.written] + tables
    closing = [sizes] if len(images) > 1 else []
    closing += remarks
    if done:
        first = done[0].overlay
        closing.append(f"{len(written)} files in {folder}; first open {first}")
    closing += _closing(done, images, tasks)
    if any(task.has_truth for task in tasks):
        scores = [(image.name, image.score) for image in images if image.score is not None]
        closing += truth.lines(scores)
    return SegmentedFiles(
        folder=folder,
        images=tuple(images),
        number=len(tasks),
        failures=tuple(failures),
        written=tuple(written),
        lines=tuple(lines),
        closing=tuple(closing),
    )


def measure_labels(
    files: str | Path | Iterable[str | Path],
    labels: str | Path,
    out: str | Path,
    *,
    pixel_size_A: float | None = None,
    crop: str | None = None,
    readers_of: str | Path | None = None,
    report: Callable[[str], object] = lambda line: None,
) -> SegmentedFiles:
    """Measure particles that a person has drawn or corrected, without a network.

    The tables and the histogram of :meth:`passband.Experiment.segment` are written.

    Args:
        files: Image files, or folders with image files.
        labels: A file with a number in each particle, or a folder with one for each image.
        out: The folder of the output files.
        pixel_size_A: For images that do not have it [Å].
        crop: The part ``x0:x1,y0:y1`` of the images that is used [pixels].
        readers_of: The file of a study, whose own readers read files of other formats.
        report: Receives what is said about each image, line by line.

    Raises:
        PassbandError: If a file or a folder is missing or cannot be used. If only some images
            cannot be measured, `failures` of the result says why.

    Example:
        >>> import numpy as np
        >>> labels = passband.open("general").segment("image.tif").labels
        >>> np.save("corrected.npy", labels)
        >>> found = passband.measure_labels("image.tif", "corrected.npy", out="measured")
        >>> sizes = [particle.diameter_nm for particle in found.images[0].particles]
    """
    pixel_size.check_option(pixel_size_A)
    suffixes.use_of(readers_of)
    folder = Path(out)
    paths = readers.find([files] if isinstance(files, str | Path) else files, report)
    check_folder(folder, paths)
    found = Labels(Path(labels), pixel_size_A, crop)
    found.check(paths)
    _begin(folder)
    return _measure(paths, found, folder, report)


def _measure(
    files: Sequence[Path], labels: Labels, folder: Path, report: Callable[[str], object]
) -> SegmentedFiles:
    """Measure the labels of images, and write the tables and the histogram."""
    images: list[Frame] = []
    failures: list[str] = []
    lines: list[str] = []
    for path, name in zip(files, predictions.output_names(files), strict=True):
        try:
            found = labels.frames(path, name)
        except Exception as error:  # the other files are still measured
            failures.append(batch.failure(path, error))
            images.append(Frame(file=path.name, error=failures[-1]))
            continue
        images += found
        for line in (line for image in found for line in (image.line, *image.notes)):
            lines.append(line)
            report(line)
    written, sizes = _tables(images, folder)
    names = ", ".join(path.name for path in written)
    return SegmentedFiles(
        folder=folder,
        images=tuple(images),
        number=len(files),
        failures=tuple(failures),
        written=tuple(written),
        lines=tuple(lines),
        closing=(sizes, f"{len(written)} files in {folder}: {names}"),
    )


def check_folder(folder: Path, files: Sequence[Path]) -> None:
    """Check that no output file can replace an image, or be an image of the next run."""
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"out = {str(folder)!r}: is a file; give a folder")
    for path in files:
        if folder.resolve() == path.resolve().parent:
            raise ArgumentError(f"out = {str(folder)!r}: is the folder of {path}; give another")


def _begin(folder: Path) -> None:
    """Check that results can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ArgumentError(f"out = {str(folder)!r}: cannot be written: {error.strerror}") from None
    file_records.clear(folder)
    size_figure.check(folder)
    summary.check(folder)


def _tables(images: Sequence[Frame], folder: Path) -> tuple[list[Path], str]:
    """Write the histogram and the tables, and return the files and a line about sizes."""
    picture, sizes = size_figure.write(images, folder)
    return picture + summary.write(images, folder), sizes


def _closing(
    done: Sequence[Prediction], images: Sequence[Frame], tasks: Sequence[Task]
) -> list[str]:
    """Return what is said about all files together."""
    lines = []
    if earlier := sum(result.is_earlier for result in done):
        lines.append(f"{earlier} of {number_of(len(tasks), 'file')} had been done before")
    whole = [image for image in images if not image.error]
    if flagged := sum(bool(image.flags) for image in whole):
        which = f"{flagged} of {len(whole)} images are unlike the training images"
        lines.append(f"{which}: do not trust these masks")
    lines += [
        f"to train a network for such images: {words}" for words in _new_studies(tasks, done)[:1]
    ]
    if sum(image.expected_dice is not None for image in whole) > 1:
        lines.append(_NO_ORDER)
    return lines


def _new_studies(tasks: Sequence[Task], done: Sequence[Prediction]) -> list[str]:
    """Return the command that makes a study for each flagged file that it can take."""
    sizes = {task.path: getattr(task.predictor, "pixel_size_A", None) for task in tasks}
    words = []
    for each in done:
        flags = {flag for image in each.frames if image.particles for flag in image.flags}
        size = "" if sizes[each.path] is None else f" --pixel-size-A {sizes[each.path]:g}"
        if command := new_study(flags, f"{shlex.quote(str(each.path))}{size}"):
            words.append(command)
    return words
