"""A network is applied to an image of any size, tile by tile.

The result is the same as if the network saw the whole image at once, up to rounding. Two rules make
it so. The first pixel of each tile is at a multiple of the network's divisor, so that pooling
groups the same pixels as in the whole image. Tiles overlap, and the border of a tile is discarded
where the network's output depends on pixels outside the tile. The width of this border is measured,
see :func:`halo`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import ceil, prod

import numpy as np
import torch
from torch import nn

from passband.config.architectures import Architecture
from passband.learning import devices, networks
from passband.learning.network_sizes import bytes_per_pixel

#: The longest strip on which a receptive field is measured [pixels].
_LONGEST = 4096
#: Memory of the features of a network while it predicts a tile of the default size [bytes].
_BYTES = 6e8
#: The largest side of a tile by default [pixels].
_LARGEST_TILE = 1024


@cache
def halo(architecture: Architecture) -> int | None:
    """Return how far an output pixel can depend on pixels beyond a boundary of tiles [pixels].

    It is that of the output that sees farthest. The distance is measured. All input pixels on one
    side of a boundary are set to NaN, and every operation whose input includes a NaN returns NaN.
    So output pixels that are NaN depend on pixels beyond the boundary, whatever the weights of the
    network are. Only a strip of an image is needed because kernels are square. Then a tile of a
    random strip is compared with the whole strip. They differ if positions in the network depend on
    the size of its input, as they do where features are enlarged so that the corners of both grids
    coincide.

    Returns:
        A multiple of the divisor. None if each output pixel depends on the whole image or on the
        size of the image, for example because the network averages over the image.
    """
    network = networks.build(architecture).eval()
    divisor = architecture.divisor
    least = architecture.smallest_px
    length = 32 * divisor
    while length <= _LONGEST:
        half, reach = length // 2, 0
        for flipped in (False, True):
            strip = torch.zeros(1, 1, least, length)
            strip[..., :half] = torch.nan
            with torch.inference_mode():
                result = network(strip.flip(-1) if flipped else strip)
            reached = torch.isnan(result.flip(-1) if flipped else result)[0].any(0).any(0)
            reach = max(reach, int(reached.nonzero().max()) + 1 - half)
        # If every pixel of the other half is NaN, the strip may be too short.
        if reach < half:
            reach = ceil(reach / divisor) * divisor
            return reach if _equals_its_tiles(network, least, length, reach) else None
        length *= 2
    return None


def _equals_its_tiles(network: nn.Module, height: int, length: int, reach: int) -> bool:
    """Return whether a tile of a random strip gives the result of the whole strip."""
    strip = torch.randn(1, 1, height, length, generator=torch.Generator().manual_seed(0))
    start = length // 4
    with torch.inference_mode():
        whole, tile = network(strip)[..., start + reach :], network(strip[..., start:])
    return bool((whole - tile[..., reach:]).abs().max() < 1e-3 * whole.std())


def _most_px(architecture: Architecture) -> int:
    """Return the number of pixels that a network predicts at once in :data:`_BYTES`."""
    # Training keeps about three times as many features as prediction does.
    return int(3 * _BYTES / bytes_per_pixel(architecture))


def default_tile(architecture: Architecture) -> int:
    """Return the default side of tiles, which limits the memory [pixels]."""
    side = min(_LARGEST_TILE, int(_most_px(architecture) ** 0.5))
    divisor = architecture.divisor
    return max(architecture.smallest_px, side // divisor * divisor)


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
    def of(
        cls, shape: tuple[int, int], architecture: Architecture, tile: int | None = None
    ) -> "Tiling":
        """Return the tiling of an image for an architecture.

        Args:
            shape: Height and width of the image.
            tile: Side of a tile. The side is increased if it is too small for the overlap, and to a
                multiple of the divisor.
        """
        reach = halo(architecture)
        divisor = architecture.divisor
        least = architecture.smallest_px
        padded = tuple(max(ceil(n / divisor) * divisor, least) for n in shape)
        side = default_tile(architecture) if tile is None else max(tile, least)
        side = ceil(side / divisor) * divisor
        # Without a halo, the network would need the whole image as one tile. Instead, an eighth of
        # the tile is discarded at its border, and the result depends on the tiles.
        border = ceil(side / 8 / divisor) * divisor if reach is None else reach
        # The core of a tile is at least as wide as the discarded border.
        side = max(side, 2 * border + max(divisor, border))
        sides = tuple(min(side, n) for n in padded)
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


def logits(
    network: nn.Module,
    image: np.ndarray,
    tiling: Tiling,
    normalise: Callable[[np.ndarray], np.ndarray],
    precision: str = "float32",
    device: torch.device | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Yield a network's outputs for the core of each tile.

    Args:
        network: The network, on the device and in evaluation mode.
        image: (height, width) float32, the image, at the network's pixel size.
        tiling: The tiles of the image.
        normalise: Returns the input of the network for a window of the image.
        precision: See :func:`passband.learning.devices.precision`.
        device: The network's device. The default is the CPU.

    Yields:
        (rows, columns) and (outputs, height, width) float32: a part of the image, and the network's
        outputs for it. The parts do not overlap, and together they cover the image.
    """
    device = device or torch.device("cpu")
    layout = devices.layout(precision, device)
    height, width = tiling.shape
    for (top, left), (rows, columns) in progress(tiling):
        values = normalise(window(image, top, left, tiling.tile))
        tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None]
        tensor = tensor.to(device).contiguous(memory_format=layout)
        with torch.inference_mode(), devices.autocast(precision, device):
            result = network(tensor)[0].float().cpu().numpy()
        rows = slice(rows.start, min(rows.stop, height))
        columns = slice(columns.start, min(columns.stop, width))
        if rows.start < height and columns.start < width:
            down = slice(rows.start - top, rows.stop - top)
            across = slice(columns.start - left, columns.stop - left)
            yield (rows, columns), result[:, down, across]
