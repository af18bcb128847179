"""Max pooling of bfloat16 images on a CPU, as one compiled function in each direction.

torch notes the places of all maxima, and adds the gradients of the skip connection in another pass
over the image. The compiled functions find the places again, and give the same bits.
"""

import numba
import torch
from torch import Tensor

from passband.imaging.compiled import compiled
from passband.learning.narrow.normalisation import numbers_of
from passband.learning.narrow.simd import (
    LANES,
    add,
    first_halves,
    greater,
    load_bfloat16,
    second_halves,
    store_bfloat16,
    where_equal,
    zero,
)


@numba.njit(error_model="numpy")
def _pair(x, place, other, narrow):
    """Return the vectors of every first and every second of neighbouring pixels.

    `narrow` says that a vector has two pixels. `other` is the distance of the second vector.
    """
    a, b = load_bfloat16(x, place), load_bfloat16(x, place + other)
    return (first_halves(a, b), second_halves(a, b)) if narrow else (a, b)


@numba.njit(error_model="numpy")
def _add_pair(gradient, place, other, narrow, a, b, out):
    """Write the sum of `gradient` and of vectors in the order of :func:`_pair`."""
    if narrow:
        a, b = first_halves(a, b), second_halves(a, b)
    store_bfloat16(out, place, add(load_bfloat16(gradient, place), a))
    store_bfloat16(out, place + other, add(load_bfloat16(gradient, place + other), b))


def _forward(x, channels, row, out):
    """Write the maxima of 2 × 2 pixels. `row` is the number of numbers in a row of pixels."""
    width, narrow, at = max(channels, LANES), channels < LANES, 0
    for top in range(0, len(x), 2 * row):
        for left in range(top, top + row, 2 * width):
            for j in range(left, left + width, LANES):
                a, b = _pair(x, j, width, narrow)
                c, d = _pair(x, j + row, width, narrow)
                store_bfloat16(out, at, greater(d, greater(c, greater(b, a))))
                at += LANES


def _backward(x, slopes, gradient, channels, row, out):
    """Write the sum of `gradient` and, at the first maximum of 2 × 2 pixels, of `slopes`."""
    width, narrow, at, none = max(channels, LANES), channels < LANES, 0, zero()
    for top in range(0, len(x), 2 * row):
        for left in range(top, top + row, 2 * width):
            for j in range(left, left + width, LANES):
                a, b = _pair(x, j, width, narrow)
                c, d = _pair(x, j + row, width, narrow)
                most = greater(d, greater(c, greater(b, a)))
                g = load_bfloat16(slopes, at)
                ga, g = where_equal(a, most, g, none), where_equal(a, most, none, g)
                gb, g = where_equal(b, most, g, none), where_equal(b, most, none, g)
                gc, g = where_equal(c, most, g, none), where_equal(c, most, none, g)
                _add_pair(gradient, j, width, narrow, ga, gb, out)
                _add_pair(gradient, j + row, width, narrow, gc, g, out)
                at += LANES


def _compiled(function):
    arrays = "u2[::1]" if function is _forward else "u2[::1], u2[::1], u2[::1]"
    return compiled(function, f"({arrays}, i8, i8, u2[::1])")


def applies(x: Tensor) -> bool:
    """Return whether :func:`halve` computes these images."""
    channels, height, width = x.shape[1:]
    return (
        x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and (channels % LANES == 0 or 2 * channels == LANES)
        and height % 2 == 0
        and width % 4 == 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        number, channels, height, width = x.shape
        small = x.new_empty(number, height // 2, width // 2, channels).permute(0, 3, 1, 2)
        _compiled(_forward)(numbers_of(x), channels, width * channels, numbers_of(small))
        ctx.save_for_backward(x)
        return x, small

    @staticmethod
    def backward(ctx, *gradients):
        (x,) = ctx.saved_tensors
        gradient, slopes = (
            numbers_of(g.contiguous(memory_format=torch.channels_last)) for g in gradients
        )
        channels, width = x.shape[1], x.shape[3]
        out = torch.empty_like(x)
        flat = numbers_of(x), slopes, gradient
        _compiled(_backward)(*flat, channels, width * channels, numbers_of(out))
        return out


def halve(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return images, and their maxima over 2 × 2 pixels.

    Both are returned so that the gradient of the images is the sum of both gradients, in one pass
    over memory. The images, (N, C, H, W) bfloat16 in "channels last", have no NaN, and
    :func:`applies` is true for them.
    """
    return _Halve.apply(x)
