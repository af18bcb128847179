"""Bars and frames at the edges of an image, such as a data bar: what is left after they are cut."""

from typing import NamedTuple

import numpy as np

from passband.config.base import short
from passband.errors import ArgumentError, PassbandError

#: A row belongs to a bar or a frame if this part of its pixels has one value; a bar may have a
#: second one, that of its letters.
_PART = 0.9
#: A row of letters has this part of its pixels, or more, between them.
_LETTERED = 0.6
#: A bar with letters is at least this part of the image.
_SMALLEST = 0.02
#: Bars and frames leave at least this part of each side.
_LEFT = 0.5
#: Values are the same if they differ by so many grey levels of 8 bits, at the edge of the image,
#: and inside a bar, where JPEG blurs letters; but by no more than this part of the noise of the
#: middle of the image, at the edge half of it.
_LEVELS = 2.0
_BLURRED = 8.0
_SPREAD = 0.6
#: A block of JPEG has so many rows. A block at the border of a bar mixes it with the image.
_BLOCK = 8


class Box(NamedTuple):
    """A part of an image: the columns from x0 and the rows from y0, without x1 and y1."""

    x0: int
    x1: int
    y0: int
    y1: int

    def __str__(self) -> str:
        return f"{self.x0}:{self.x1},{self.y0}:{self.y1}"

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> "Box":
        """Return the box of a whole image."""
        return cls(0, shape[1], 0, shape[0])

    @classmethod
    def parse(cls, text: str) -> "Box":
        """Return the box of a text ``x0:x1,y0:y1`` [pixels].

        Raises:
            PassbandError: If the text has another form, or if the box is empty.
        """
        try:
            (x0, x1), (y0, y1) = (map(int, side.split(":")) for side in text.split(","))
        except ValueError:
            found = None
        else:
            found = cls(x0, x1, y0, y1)
        if found is None or not (0 <= found.x0 < found.x1 and 0 <= found.y0 < found.y1):
            raise ArgumentError(
                f"crop = {short(text)}: must be x0:x1,y0:y1, columns and rows of pixels from 0, "
                "such as 0:1024,0:960"
            )
        return found

    @property
    def place(self) -> tuple[slice, slice]:
        """The rows and the columns, which index an array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0

    def cut(self, shape: tuple[int, int]) -> tuple[str, ...]:
        """Return what was cut off an image of this shape, in words; nothing if it is the box."""
        return (f"columns and rows {self} used, the rest cut off",) * (self.shape != shape)

    def check(self, shape: tuple[int, int]) -> None:
        """Raise PassbandError if the box is not in an image of this shape."""
        if self.x1 > shape[1] or self.y1 > shape[0]:
            raise PassbandError(
                f"--crop = {self}: the image has {shape[1]} columns and {shape[0]} rows"
            )


def used(image: np.ndarray, crop: str | None) -> Box:
    """Return the part of an image that is used: :func:`inside`, or what the user's `crop` says.

    Raises:
        PassbandError: If the image does not have this part.
    """
    if crop is None:
        return inside(image)
    box = Box.parse(crop)
    box.check(image.shape)
    return box


def inside(image: np.ndarray) -> Box:
    """Return what is left of an image without bars and frames at its edges.

    A frame has one value along 90% of an edge, and may be one pixel wide. A bar has one or two
    values in 90% of its pixels, such as those of its letters, and is at least 2% of the image. Rows
    and columns are cut off as a whole.

    Args:
        image: (height, width) float32.
    """
    whole = box = Box.whole(image.shape)
    middle = image[tuple(slice(n // 4, n - n // 4) for n in image.shape)]
    for _ in range(2):  # a frame around a bar, or a bar inside a frame
        before = box
        for axis in (0, 1):
            for last in (False, True):
                lines = image[box.place] if axis == 0 else image[box.place].T
                cut = _width(lines[::-1] if last else lines, middle, grey_level(image), image.size)
                ends = [[box.y0, box.y1], [box.x0, box.x1]]
                ends[axis][last] += -cut if last else cut
                if ends[axis][1] - ends[axis][0] < _LEFT * image.shape[axis]:
                    return whole
                box = Box(*ends[1], *ends[0])
        if box == before:
            break
    return box


def grey_level(image: np.ndarray) -> float:
    """Return the step between two grey levels: 1 in an image of 8 bits, else 1/255 of the range."""
    low = float(image.min())
    high = float(image.max())
    is_8_bit = low >= 0 and high <= 255 and bool((image[::7] == np.rint(image[::7])).all())
    return 1.0 if is_8_bit else (high - low) / 255


def _width(lines: np.ndarray, middle: np.ndarray, level: float, pixels: int) -> int:
    """Return how many of the first lines belong to a bar or a frame.

    Args:
        lines: (n, length).
        middle: The middle of the image.
        level: The step between two grey levels.
        pixels: The number of pixels of the image.
    """
    # Between neighbours, an uneven illumination makes no difference.
    noise = float(np.diff(middle, axis=1).std(dtype=np.float64)) / 2**0.5
    value = float(np.median(lines[0]))
    spread = _SPREAD * noise
    same = min(_LEVELS * level, spread / 2)
    blurred = min(_BLURRED * level, spread)
    if _share(lines[:1], value, same)[0] < _PART or _share(middle, value, same).mean() > _PART / 2:
        return 0
    lines = lines[: int(len(lines) * _LEFT) + 2]
    shares = _share(lines, value, same)
    width = int(np.argmin(shares >= _PART)) if (shares < _PART).any() else len(lines)
    shares = _share(lines, value, blurred)
    for end in np.flatnonzero(shares >= _LETTERED)[::-1] + 1:
        if end <= width or end * lines.shape[1] < _SMALLEST * pixels:
            break
        letters = lines[:end][np.abs(lines[:end] - value) > blurred]
        # The most frequent value of the letters, in steps of a bar's blur.
        kinds, number = np.unique(np.rint(letters / max(blurred, 1e-12)), return_counts=True)
        second = kinds[number.argmax()] * blurred if letters.size else value
        others = np.count_nonzero(np.abs(letters - second) > blurred)
        if others <= (1 - _PART) * end * lines.shape[1]:
            width = int(end)
            break
    mixed = _share(lines[width : width + _BLOCK - 1], value, 2 * blurred) >= 0.5
    return width + (len(mixed) if mixed.all() else int(np.argmin(mixed)))


def _share(lines: np.ndarray, value: float, same: float) -> np.ndarray:
    """Return the part of the pixels of each line that have a value."""
    return (np.abs(lines - value) <= same).mean(1)
