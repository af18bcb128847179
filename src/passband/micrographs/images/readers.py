"""Read images of microscopes from files of many formats.

PNG, JPEG, TIFF, NPY and Zarr need only Passband. The other formats, DM3, DM4, EMD, MRC, SER and
EMI, are read with RosettaSciIO, which is installed by ``pip install 'passband[micrographs]'``. DM4
files were not tried, since none was at hand. The lens is not read: files may state a Cs of 0, and a
network needs only the pixel size.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from passband.errors import PassbandError
from passband.micrographs.images import declared, pixel_size
from passband.micrographs.images.contents import Content
from passband.micrographs.images.file_metadata import NOTHING, Recorded
from passband.micrographs.images.own_outputs import is_output
from passband.micrographs.images.suffixes import (
    has_emi,
    is_folder_format,
    is_image,
    readers,
    suffix,
)
from passband.parts import Part, PartError
from passband.results import published
from passband.storage.integrity import check_regular
from passband.words import number_of

#: Minimum height and width of an image [pixels].
MIN_PX = 32


@dataclass(frozen=True)
class Micrograph:
    """The images of a file.

    Attributes:
        images: (frames, height, width) float32, grey values or counts. All are finite, and no frame
            has the same value everywhere.
        pixel_size_A: Pixel size [Å].
        notes: What the user should know about how the file was read, one line each.
        stated: What the file states about the microscope.
        is_colour: Whether the grey values are means of colours.
    """

    images: np.ndarray
    pixel_size_A: float
    path: Path
    notes: tuple[str, ...] = ()
    stated: Recorded = NOTHING
    is_colour: bool = False


def read(path: str | Path, pixel_size_A: float | None = None) -> Micrograph:
    """Read the images of a file.

    Args:
        path: A file in a format of :func:`~passband.micrographs.images.suffixes.readers`, or a Zarr
            folder. The suffix selects the format. An EMI file is read together with its SER files.
        pixel_size_A: The pixel size [Å]. If the pixel size of the file differs by more than 1%,
            this one is used, and a note says so.

    Returns:
        The images, as float32. A single image has one frame. Colours are averaged. If a file
        contains several images of the same size, each is a frame.

    Raises:
        PassbandError: If the file is missing, damaged, of an unknown format, or contains no image,
            or an image that a network cannot use (complex, of 4 dimensions, smaller than 32 pixels,
            NaN, the same value everywhere); if there is no pixel size, or one that is not above 0
            and below 10 Å; or if RosettaSciIO is needed and not installed.
    """
    path = Path(path)
    pixel_size.check_option(pixel_size_A)
    content = _content(path)
    images = _frames(path, content.images)
    size, notes = pixel_size.choose(path, content.pixel_sizes_A, pixel_size_A)
    images = _float32(path, images)
    notes = (*content.notes, *notes)
    return Micrograph(
        images, size, path, notes=notes, stated=content.stated, is_colour=content.is_colour
    )


def recorded(path: str | Path) -> Recorded:
    """Return what the file of an image states about the microscope; nothing if it is damaged."""
    try:
        return _content(Path(path)).stated
    except PassbandError:
        return NOTHING


def of_array(image: npt.ArrayLike, pixel_size_A: float) -> Micrograph:
    """Return an image that is no file: (height, width).

    Raises:
        PassbandError: As for :func:`read`.
    """
    path, image = Path("image"), np.asarray(image)
    if image.ndim != 2:
        shape = " × ".join(map(str, image.shape))
        raise PassbandError(f"{path}: {image.ndim} dimensions ({shape}); must be height × width")
    return of_frames(image, pixel_size_A, path)


def of_frames(images: npt.ArrayLike, pixel_size_A: float, path: Path) -> Micrograph:
    """Return images that are in memory: (height, width) or (frames, height, width).

    Args:
        path: What messages call them.

    Raises:
        PassbandError: As for :func:`read`.
    """
    pixel_size.check_option(pixel_size_A)
    return Micrograph(_float32(path, _frames(path, np.asarray(images))), pixel_size_A, path)


def preview(path: str | Path) -> tuple[np.ndarray, float | None]:
    """Read the images of a file to show them, whatever their values are.

    Returns:
        (frames, height, width) in the type of the file, and the pixel size [Å], which is None if
        the file has none that can be used.

    Raises:
        PassbandError: As for :func:`read`, but not for values or the pixel size.
    """
    path = Path(path)
    content = _content(path)
    images = _frames(path, content.images)
    try:
        return images, pixel_size.choose(path, content.pixel_sizes_A, None)[0]
    except PassbandError:
        return images, None


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask, such as a ground truth, from a file of any format. No pixel size is needed.

    Returns:
        (frames, height, width) bool: True where the file's value is above 0, so that masks of 0 and
        1, masks of 0 and 255, and numbered particles are all read.

    Raises:
        PassbandError: As for :func:`read`, except that a mask may be of any size and have one value
            everywhere. Also if it is in colour, or if its values are those of an image: several,
            and all above 0.
    """
    path = Path(path)
    content = _content(path)
    if content.is_colour:
        raise PassbandError(f"{path}: is in colour; a mask is grey, and 0 outside particles")
    values = _frames(path, content.images, min_px=1)
    low, high = values.min(), values.max()
    if 0 < low < high:
        raise PassbandError(
            f"{path}: has values from {low:g} to {high:g}, as an image; a mask is 0 outside "
            "particles"
        )
    return np.asarray(values > 0)


def read_labels(path: str | Path) -> np.ndarray:
    """Read numbered particles from a file of any format. No pixel size is needed.

    Returns:
        (frames, height, width) int64: 0 in the background, and a number from 1 on in each particle.

    Raises:
        PassbandError: As for :func:`read_numbers`, and if several separate regions have the only
            number, as in a mask.
    """
    path = Path(path)
    values = _of_labels(path)
    if values.dtype.kind == "b":
        raise _no_label(path, "true and false")
    labels = _whole(path, values)
    first = labels[labels > 0].min(initial=2**62)
    last = labels.max(initial=0)
    if first == last and max(map(regions, labels)) > 1:
        raise PassbandError(
            f"{path}: all its regions have the number {last}, as in a mask; give each particle its "
            "own number"
        )
    return labels


def read_numbers(path: str | Path) -> np.ndarray:
    """Read a mask or numbered particles from a file of any format. No pixel size is needed.

    Returns:
        (frames, height, width) int64: 0 in the background, and a number from 1 on in particles.

    Raises:
        PassbandError: As for :func:`read_mask`, and if the file is in colour, or if values are no
            whole numbers from 0 on.
    """
    path = Path(path)
    return _whole(path, _of_labels(path))


def _of_labels(path: Path) -> np.ndarray:
    """Return the values of a file of labels, (frames, height, width)."""
    content = _content(path)
    if content.is_colour:
        raise _no_label(path, "of a colour")
    return _frames(path, content.images, min_px=1)


def _whole(path: Path, values: np.ndarray) -> np.ndarray:
    """Return labels as int64. Raise PassbandError if values are no whole numbers from 0 on."""
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.int64)
    wrong = (labels != values) | (labels < 0)
    if wrong.any():
        raise _no_label(path, values[wrong][0])
    return labels


def _no_label(path: Path, value: object) -> PassbandError:
    return PassbandError(
        f"{path}: has the value {value}; labels are 0 in the background, and a whole number from 1 "
        "on in each particle"
    )


def regions(labels: np.ndarray) -> int:
    """Return the number of separate regions in which labels (height, width) are above 0."""
    return ndimage.label(labels > 0, np.ones((3, 3)))[1]


def find(
    paths: Iterable[str | Path], say: Callable[[str], object] = lambda line: None
) -> list[Path]:
    """Return the image files among paths: files as they are, folders as the images inside.

    The word ``sample`` is the package's sample, unless a file has this name. A Zarr folder is one
    image file. Folders inside a folder are not searched. A SER file beside its EMI file is left
    out, since the EMI file is read together with its SER files. So are files that ``passband
    predict`` has written.

    Args:
        say: Receives a line about files that are left out.

    Raises:
        PassbandError: If a path does not exist, or if no image is left.
    """
    found: list[Path] = []
    for word in paths:
        if not str(word):  # such as an unset variable: as a path, it would be the working directory
            raise PassbandError("'': names no file or folder; give the name of an image")
        path = Path(word)
        if not path.exists():
            if str(path) != "sample":
                raise PassbandError(f"{path}: no such file or folder")
            path = published.SAMPLE
        if not path.is_dir() or is_image(path):
            found.append(path)
            continue
        inside = sorted(
            entry for entry in path.iterdir() if is_image(entry) and not entry.name.startswith(".")
        )
        names = {entry.name.lower() for entry in inside}
        inside = [entry for entry in inside if not has_emi(entry, names)]
        if not inside:
            raise PassbandError(f"{path}: contains no image; formats are {_formats()}")
        found += inside
    if not found:
        raise PassbandError("no image file is given")
    own = {path: is_output(path) for path in found}
    images = [path for path, is_own in own.items() if not is_own]
    if left := [path for path, is_own in own.items() if is_own]:
        others = f" and {number_of(len(left) - 1, 'other file')}" * (len(left) > 1)
        line = f"{left[0]}{others}: written by `passband predict`, no image of a microscope"
        if not images:
            raise PassbandError(line)
        say(f"{line}: left out")
    return images


def _formats() -> str:
    return ", ".join(readers())


def _content(path: Path) -> Content:
    """Return the content of a file; every error becomes a PassbandError of one line."""
    if not path.exists():
        raise PassbandError(f"{path}: no such file")
    reader = readers().get(suffix(path))
    if reader is None:
        raise PassbandError(f"{path}: unknown format {path.suffix!r}; formats are {_formats()}")
    if path.is_dir() and not is_folder_format(path):
        raise PassbandError(f"{path}: a folder, expected a file")
    load = reader.load()
    try:
        with _silence():
            check_regular(path)
            return _checked(path, reader, load(path))
    except PassbandError:
        raise
    except MemoryError:
        raise PassbandError(f"{path}: does not fit into memory, or is damaged") from None
    except OSError as error:
        if not isinstance(error.errno, int):  # an error of the content
            raise _damaged(path, reader, error) from None
        raise PassbandError(f"{path}: cannot be read: {_line(error)}") from None
    except Exception as error:  # readers raise errors of all types for damaged content
        raise _damaged(path, reader, error) from None


def _checked(path: Path, reader: Part, content: object) -> Content:
    """Return what a reader returned. Raise PartError if that is no content of a file."""
    if not isinstance(content, Content) or not isinstance(content.images, np.ndarray):
        found = getattr(content, "images", content)
        raise PartError(
            f"{path}: {reader} returns {type(found).__name__}; must return a Content with an array"
        )
    return content


def _damaged(path: Path, reader: Part, error: Exception) -> PassbandError:
    by = f" for {reader}" if reader.is_own else ""
    return PassbandError(f"{path}: not a whole {suffix(path)} file{by}: {_line(error)}")


def _line(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words if len(words) <= 160 else words[:159] + '…'}"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hide what libraries print, warn of and log while they read a file."""
    level = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        try:
            logging.disable()
            yield
        finally:
            logging.disable(level)


def _frames(path: Path, images: np.ndarray, min_px: int = MIN_PX) -> np.ndarray:
    """Return images as (frames, height, width) in their own type, or raise PassbandError."""
    if images.dtype.kind not in "buif":
        kind = "complex" if images.dtype.kind == "c" else str(images.dtype)
        raise PassbandError(f"{path}: {kind} values; an image has real numbers")
    if images.ndim not in (2, 3):
        shape = " × ".join(map(str, images.shape))
        raise PassbandError(
            f"{path}: {images.ndim} dimensions ({shape}); an image has 2, a stack of images has 3"
        )
    images = images if images.ndim == 3 else images[None]
    number, height, width = images.shape
    if not number or min(height, width) < min_px:
        raise PassbandError(
            f"{path}: {number} images of {height} × {width} pixels; "
            f"an image has at least {min_px} × {min_px}"
        )
    declared.check_memory(path, images.shape)
    return images


def _float32(path: Path, images: np.ndarray) -> np.ndarray:
    """Return images as float32, or raise PassbandError if a network cannot use their values."""
    with np.errstate(all="ignore"):
        images = np.ascontiguousarray(images, dtype=np.float32)
    for number, image in enumerate(images):
        where = f"{path}: frame {number}" if len(images) > 1 else f"{path}: the image"
        if not (np.isfinite(image.min()) and np.isfinite(image.max())):
            bad = int(image.size - np.isfinite(image).sum())
            raise PassbandError(
                f"{where} has {bad} of {image.size} pixels that are NaN, infinite or above 3.4e38"
            )
        if image.min() == image.max():
            raise PassbandError(f"{where} has the value {image.flat[0]:g} in every pixel")
    return images
