"""What *Sizes* does: labels that a person has corrected in napari are saved and measured."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from passband.errors import PassbandError
from passband.micrographs import file_records, outputs, predictions, segmented_files
from passband.micrographs.images import own_outputs
from passband.micrographs.napari.shown import Shown
from passband.micrographs.size_figure import SIZES
from passband.units import A_PER_NM


@dataclass(frozen=True)
class Measured:
    """The sizes of the particles of a labels layer.

    Attributes:
        saved: The file with the labels.
        picture: The histogram; None without a whole particle.
        lines: What ``passband predict --labels`` prints.
    """

    saved: Path
    picture: Path | None
    lines: tuple[str, ...]


def measure(
    shown: Shown,
    labels: np.ndarray | None,
    folder: Path | None = None,
    saved: Path | None = None,
) -> Measured:
    """Save labels, and measure them as ``passband predict --labels`` does.

    They are saved as ``<name>_instances.changed.ome.tif``, where ``predict`` keeps labels that
    somebody has changed, and which it never replaces.

    Args:
        labels: As the image, (height, width) or (frames, height, width): 0 in the background, and a
            number from 1 on in each particle. None if there is no layer.
        folder: The folder of the output files, by default :attr:`Shown.folder`.
        saved: The file in which the same layer was saved before, for the same image. It is
            replaced.

    Raises:
        PassbandError: If there are no labels, if they or the folder cannot be used, or if the image
            is in no file.
    """
    if labels is None:
        raise PassbandError("no labels: run Segment, or add a labels layer")
    if shown.file is None:
        raise PassbandError(f"{shown.name}: is in no file that Passband reads; save it as one")
    labels = np.asarray(labels)
    if labels.shape != shown.images.shape:
        raise PassbandError(
            f"the labels have {_sides(labels)} pixels, but {shown.name} has {_sides(shown.images)}"
        )
    if not labels.any():
        raise PassbandError("the labels are 0 everywhere: no particle is labelled")
    if labels.min() < 0:
        raise PassbandError(
            "the labels have negative numbers; must be 0, or from 1 on in particles"
        )
    folder = folder or shown.folder
    segmented_files.check_folder(folder, [shown.file])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        saved = _saved(shown, labels, folder, saved)
    except OSError as error:
        raise PassbandError(f"{folder}: cannot be written: {error.strerror}") from None
    found = segmented_files.measure_labels(
        shown.file, saved, folder, pixel_size_A=shown.pixel_size_A
    )
    if found.failures:
        raise PassbandError(found.failures[0])
    picture = folder / SIZES
    return Measured(
        saved=saved,
        picture=picture if picture in found.written else None,
        lines=(*found.lines, *found.closing, f"the labels are saved as {saved.name}"),
    )


def _saved(shown: Shown, labels: np.ndarray, folder: Path, before: Path | None) -> Path:
    """Save labels in the form of ``predict``, and return the file."""
    (name,) = predictions.output_names([shown.file])
    path = before
    if path is None or path.parent != folder:
        path = file_records.aside(folder / own_outputs.file_name(name, "instances"), name)
    is_small = labels.max() <= np.iinfo(np.uint16).max
    outputs.write_tiff(
        path,
        labels.reshape(-1, *labels.shape[-2:]).astype(np.uint16 if is_small else np.int32),
        shown.pixel_size_A / A_PER_NM,
        own_outputs.title(name, "instances"),
    )
    return path


def _sides(values: np.ndarray) -> str:
    return " × ".join(map(str, values.shape))
