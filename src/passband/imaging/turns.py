"""The eight symmetry operations of the square, for images and for periodic fields."""

import numpy as np
import torch
from torch import Tensor


def turn(images: Tensor, how: int) -> Tensor:
    """Return images after one of the eight symmetry operations of the square.

    Parameters
    ----------
    images : (..., H, H) tensor
        Square images.
    how : int
        The number of the symmetry operation, from 0 to 7. The images are rotated by `how` modulo 4
        quarter turns. If `how` is 4 or more, the images are flipped first.
    """
    return torch.rot90(images.flip(-1) if how >= 4 else images, how % 4, (-2, -1))


def turned(images: Tensor, turns: np.ndarray) -> Tensor:
    """Return (N, …) images, each after one of the eight symmetry operations in `turns`."""
    result = torch.empty_like(images)
    for how in np.unique(turns):
        where = torch.from_numpy(np.flatnonzero(turns == how)).to(images.device)
        result[where] = turn(images[where], int(how))
    return result


def turned_field(fields: Tensor, turns: np.ndarray) -> Tensor:
    """Return (N, …) periodic fields after symmetry operations about their first pixel.

    The operation about the first pixel is the one that :func:`turned` makes of the field's centred
    spectrum. It differs from that of :func:`turned` by a shift of at most one pixel.
    """
    closed = torch.cat([fields, fields[..., :1, :]], -2)
    closed = torch.cat([closed, closed[..., :1]], -1)
    return turned(closed, turns)[..., :-1, :-1]
