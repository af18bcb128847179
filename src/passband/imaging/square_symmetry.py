"""The eight symmetry operations of the square, for images and for periodic fields."""

import numpy as np
import torch
from torch import Tensor

from passband.imaging.compiled import compiled


def turn(images: Tensor, how: int) -> Tensor:
    """Return images after one of the eight symmetry operations of the square.

    Args:
        images: (..., H, H).
        how: The number of the symmetry operation, from 0 to 7. The images are rotated by `how`
            modulo 4 quarter turns. If `how` is 4 or more, the images are flipped first.
    """
    return torch.rot90(images.flip(-1) if how >= 4 else images, how % 4, (-2, -1))


def turned(images: Tensor, turns: np.ndarray) -> Tensor:
    """Return (N, …) images, each after one of the eight symmetry operations in `turns`."""
    result = torch.empty_like(images)
    if images.device.type == "cpu" and images.dtype == torch.float32 and images.is_contiguous():
        planes = images.numel() // len(images) // images.shape[-1] ** 2
        arrays = (x.view(-1, *x.shape[-2:]).numpy() for x in (images, result))
        turn_each = compiled(_turn_each, "(f4[:,:,::1], i8[::1], f4[:,:,::1])")
        turn_each(next(arrays), np.repeat(turns, planes).astype(np.int64), next(arrays))
        return result
    for how in np.unique(turns):
        where = torch.from_numpy(np.flatnonzero(turns == how)).to(images.device)
        result[where] = turn(images[where], int(how))
    return result


def _turn_each(images, turns, out):
    """Write images after symmetry operations: (n, H, H) arrays, and the n operations."""
    last = images.shape[1] - 1
    for n in range(len(images)):
        quarters, flips = turns[n] % 4, turns[n] >= 4
        for i in range(last + 1):
            for j in range(last + 1):
                # The pixel of the flipped image, and then of the image.
                if quarters == 0:
                    row, column = i, j
                elif quarters == 1:
                    row, column = j, last - i
                elif quarters == 2:
                    row, column = last - i, last - j
                else:
                    row, column = last - j, i
                out[n, i, j] = images[n, row, last - column if flips else column]


def turned_field(fields: Tensor, turns: np.ndarray) -> Tensor:
    """Return (N, …) periodic fields after symmetry operations about their first pixel.

    The operation about the first pixel is the one that :func:`turned` makes of the field's centred
    spectrum. It differs from that of :func:`turned` by a shift of at most one pixel.
    """
    closed = torch.cat([fields, fields[..., :1, :]], -2)
    closed = torch.cat([closed, closed[..., :1]], -1)
    return turned(closed, turns)[..., :-1, :-1]
