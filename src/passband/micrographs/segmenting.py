"""Images of a microscope are segmented by networks that are chosen for each file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from passband.errors import ArgumentError
from passband.micrographs import choices, segmented_files
from passband.micrographs.assessors import Assessors
from passband.micrographs.choices import Choice
from passband.micrographs.images import pixel_size, readers
from passband.micrographs.images.segmentation import Segmentation
from passband.micrographs.images.settings import Settings
from passband.micrographs.segmented_files import SegmentedFiles
from passband.outcomes import Progress


def segment(
    files: Any,
    choose: Callable[[Sequence[Path]], Mapping[Path, Choice | str]],
    settings: Settings,
    assessors: Assessors | None,
    *,
    pixel_size_A: float | None = None,
    out: str | Path | None = None,
    truth: str | Path | None = None,
    jobs: int = 1,
    verbose: bool = False,
    report: Callable[[str], object] = lambda line: None,
    progress: Progress | None = None,
) -> Segmentation | dict[Path, list[Segmentation]] | SegmentedFiles:
    """Segment files, folders or an array, see :meth:`passband.Network.segment`.

    Args:
        choose: Returns the networks of each file, or the line that says why it has none.
        assessors: Opens what assesses the images; None if they are not assessed.
    """
    pixel_size.check_option(pixel_size_A)
    _check_files(out, truth, jobs)
    micrograph = None
    if hasattr(files, "__array__"):
        _check_array(pixel_size_A, out)
        micrograph = readers.of_array(files, pixel_size_A or 0)
        paths = [micrograph.path]
    else:
        paths = readers.find([files] if isinstance(files, str | Path) else files, report)
    folder = None if out is None else Path(out)
    if folder is not None:
        segmented_files.check_folder(folder, paths)
    chosen = choose(paths)
    if verbose:
        for line in choices.described(chosen, settings):
            report(line)
    tasks = choices.tasks(
        chosen,
        settings,
        assessors,
        folder=folder,
        pixel_size_A=pixel_size_A,
        masks=None if truth is None else Path(truth),
    )
    if folder is not None:
        return segmented_files.segment(
            tasks,
            folder,
            jobs=jobs,
            verbose=verbose,
            remarks=choices.remarks(chosen, assessors),
            report=report,
            progress=progress,
        )
    if micrograph is not None:
        return tasks[0].segment(micrograph)[0]
    found = {task.path: task.segment() for task in tasks}
    return _only(found, files) or found


def _only(
    found: dict[Path, list[Segmentation]], files: str | Path | Sequence[str | Path]
) -> Segmentation | None:
    """Return the segmentation of the only image of a file that is given alone, or None."""
    if not isinstance(files, str | Path) or (Path(files).is_dir() and Path(files) not in found):
        return None
    ((_, frames),) = found.items()
    return frames[0] if len(frames) == 1 else None


def _check_files(out: str | Path | None, truth: str | Path | None, jobs: int) -> None:
    """Raise ArgumentError if what is said about output files cannot be used."""
    if jobs < 1:
        raise ArgumentError(f"jobs = {jobs}: must be at least 1")
    if out is None and truth is not None:
        raise ArgumentError(f"truth = {str(truth)!r}: has an effect only together with out")
    if truth is not None and not Path(truth).is_dir():
        raise ArgumentError(f"truth = {str(truth)!r}: there is no such folder")


def _check_array(pixel_size_A: float | None, out: str | Path | None) -> None:
    """Raise ArgumentError if what is given does not go together with an array."""
    if pixel_size_A is None:
        raise ArgumentError("pixel_size_A is missing: an array does not state it; give it in Å")
    if out is not None:
        raise ArgumentError(f"out = {str(out)!r}: needs image files; an array has no name")
