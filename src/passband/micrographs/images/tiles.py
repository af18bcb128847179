"""A network is applied to an image of any size, tile by tile.

The result is the same as if the network saw the whole image at once, up to rounding. Two rules make
it so. The first pixel of each tile is at a multiple of the network's divisor, so that pooling
groups the same pixels as in the whole image. Tiles overlap, and the border of a tile is discarded
where the network's output depends on pixels outside the tile. The width of this border is measured,
see :mod:`passband.learning.receptive_field`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np

from passband.micrographs.models.model import Model

#: Memory of the features of a network while it predicts a tile of the default size [bytes].
_BYTES = 6e8
#: The largest side of a tile by default [pixels].
_LARGEST_TILE = 1024


def default_tile(model: Model) -> int:
    """Return the default side of tiles, which limits the memory [pixels]."""
    # Training keeps about three times as many features as prediction does.
    most_px = int(3 * _BYTES / model.bytes_per_pixel)
    side = min(_LARGEST_TILE, int(most_px**0.5))
    return max(model.smallest_px, side // model.divisor * model.divisor)


@dataclass(frozen=True)
class Tiling:
    """The tiles of an image.

    Attributes:
        shape: Height and width of the image [pixels].
        padded: Height and width after padding at the bottom and at the right: multiples of the
            divisor.
        tile: Height and width of each tile.
        halo: Width of the border of a tile that is discarded, except at the border of the image.
        exact: Whether the result is the same for every size of tiles.
    """

    shape: tuple[int, int]
    padded: tuple[int, int]
    tile: tuple[int, int]
    halo: int
    exact: bool

    @classmethod
    def of(cls, shape: tuple[int, int], model: Model, tile: int | None = None) -> "Tiling":
        """Return the tiling of an image for a network.

        Args:
            shape: Height and width of the image.
            tile: Side of a tile. The side is increased if it is too small for the overlap, and to a
                multiple of the divisor.
        """
        reach = model.halo
        divisor = model.divisor
        least = model.smallest_px
        padded = tuple(max(ceil(n / divisor) * divisor, least) for n in shape)
        side = default_tile(model) if tile is None else max(tile, least)
        side = ceil(side / divisor) * divisor
        # Without a halo, the network would need the whole image as one tile. Instead, an eighth of
        # the tile is discarded at its border, and the result depends on the tiles.
        border = ceil(side / 8 / divisor) * divisor if reach is None else reach
        # The core of a tile is at least as wide as the discarded border.
        side = max(side, 2 * border + max(divisor, border))
        if reach is None:
            sides = tuple(min(side, n) for n in padded)
        else:  # the result is the same for every size
            sides = tuple(_least(n, side, border, divisor) for n in padded)
        return cls(shape, padded, sides, border, reach is not None or sides == padded)

    def __iter__(self) -> Iterator[tuple[tuple[int, int], tuple[slice, slice]]]:
        """Yield the first row and column of each tile, and the rows and columns of its core.

        Cores do not overlap, and together the cores cover the padded image.
        """
        for (top, down), (left, across) in product(*self._axes):
            yield (top, left), (down, across)

    def __len__(self) -> int:
        return prod(map(len, self._axes))

    @property
    def _axes(self) -> list[list[tuple[int, slice]]]:
        """The start and the core of each tile, along both axes."""
        sides = zip(self.padded, self.tile, strict=True)
        return [list(_along(length, side, self.halo)) for length, side in sides]


def _least(length: int, side: int, border: int, divisor: int) -> int:
    """Return the smallest side of tiles of which no more are needed along an axis."""
    inner = length - 2 * border
    number = max(1, ceil(inner / (side - 2 * border)))
    least = ceil((inner / number + 2 * border) / divisor) * divisor
    return min(least, length)


def _along(length: int, side: int, border: int) -> Iterator[tuple[int, slice]]:
    """Yield the start and the core of each tile along an axis."""
    start = done = 0
    while done < length:
        start = min(done - border, length - side) if done else 0
        end = length if start + side == length else start + side - border
        yield start, slice(done, end)
        done = end


def window(image: np.ndarray, top: int, left: int, shape: tuple[int, int]) -> np.ndarray:
    """Return a window of an image. Beyond the bottom and the right, the image is mirrored.

    Args:
        image: (height, width).
        top, left: First row and first column of the window.
        shape: Height and width of the window.
    """
    bottom, right = top + shape[0], left + shape[1]
    if bottom <= image.shape[0] and right <= image.shape[1]:
        return image[top:bottom, left:right]
    rows, columns = (
        np.pad(np.arange(n), (0, max(0, end - n)), "symmetric")[start:end]
        for start, end, n in ((top, bottom, image.shape[0]), (left, right, image.shape[1]))
    )
    return image[np.ix_(rows, columns)]


def seen(
    model: Model,
    image: np.ndarray,
    tiling: Tiling,
    normalise: Callable[[np.ndarray], np.ndarray],
    progress: Callable[[Iterable], Iterable] = iter,
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Yield a network's outputs for the core of each tile.

    Args:
        image: (height, width) float32, the image, at the network's pixel size.
        tiling: The tiles of the image.
        normalise: Returns the input of the network for a window of the image.

    Yields:
        (rows, columns) and (outputs, height, width) float32: a part of the image, and the network's
        outputs for it. The parts do not overlap, and together they cover the image.
    """
    height, width = tiling.shape
    for (top, left), (rows, columns) in progress(tiling):
        values = normalise(window(image, top, left, tiling.tile))
        (result,) = model(np.ascontiguousarray(values, np.float32)[None, None])
        rows = slice(rows.start, min(rows.stop, height))
        columns = slice(columns.start, min(columns.stop, width))
        if rows.start < height and columns.start < width:
            down = slice(rows.start - top, rows.stop - top)
            across = slice(columns.start - left, columns.stop - left)
            yield (rows, columns), result[:, down, across]
