"""Batch normalisation and ReLU of bfloat16 images on a CPU, as one compiled function.

torch normalises, and sets negative numbers to 0, in separate passes over an image, and needs a
third of the time of a training step of a compact U-Net for it. The compiled functions read an image
twice and write it once, in each direction. Sums are float32 and float64.
"""

import numpy as np
import torch
from torch import Tensor, nn

from passband.imaging.compiled import compiled
from passband.learning.narrow.simd import (
    LANES,
    add,
    load,
    load_bfloat16,
    multiply_add,
    store,
    store_bfloat16,
    where_positive,
    zero,
)

# Number of vectors whose numbers are added in float32 before the sum is added to a float64 sum.
_ADDED_TOGETHER = 1024


def _sums(x, gradient, period, factors, sums, part):
    """Add up x and x², or the gradient where ReLU passes it, and its product with x.

    `period` is the number of vectors after which the channels repeat, and `factors` has a factor
    and a constant for each of their lanes. Without a gradient, `gradient` is empty.
    """
    vectors, with_gradient = len(x) // LANES, len(gradient) > 0
    width = period * LANES
    for k in range(period):
        factor, constant = load(factors, k * LANES), load(factors, width + k * LANES)
        for start in range(k, vectors, period * _ADDED_TOGETHER):
            a = b = zero()
            for j in range(start, min(start + period * _ADDED_TOGETHER, vectors), period):
                u = load_bfloat16(x, j * LANES)
                if with_gradient:
                    g = where_positive(
                        multiply_add(u, factor, constant), load_bfloat16(gradient, j * LANES)
                    )
                    a, b = add(a, g), multiply_add(u, g, b)
                else:
                    a, b = add(a, u), multiply_add(u, u, b)
            store(part, 0, a)
            store(part, LANES, b)
            for lane in range(LANES):
                channel = (k * LANES + lane) % len(sums)
                sums[channel, 0] += part[lane]
                sums[channel, 1] += part[LANES + lane]


def _apply(x, gradient, period, factors, out):
    """Write max(0, f₀x + f₁), or with a gradient g that ReLU passes f₂g + f₃x + f₄."""
    vectors, with_gradient = len(x) // LANES, len(gradient) > 0
    width = period * LANES
    for k in range(period):
        at = k * LANES
        f0, f1, f2 = load(factors, at), load(factors, width + at), load(factors, 2 * width + at)
        f3, f4 = load(factors, 3 * width + at), load(factors, 4 * width + at)
        for j in range(k, vectors, period):
            u = load_bfloat16(x, j * LANES)
            y = multiply_add(u, f0, f1)
            if with_gradient:
                g = where_positive(y, load_bfloat16(gradient, j * LANES))
                y = multiply_add(g, f2, multiply_add(u, f3, f4))
            else:
                y = where_positive(y, y)
            store_bfloat16(out, j * LANES, y)


def applies(layer: nn.BatchNorm2d, x: Tensor) -> bool:
    """Return whether :func:`normalise` computes a layer for these images."""
    channels = x.shape[1]
    return (
        layer.training
        and x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and (LANES % channels == 0 or channels % LANES == 0)
        and x.numel() % max(LANES, channels) == 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, layer):
        channels, number = x.shape[1], x.numel() // x.shape[1]
        flat, period = numbers_of(x), max(1, channels // LANES)
        sums = np.zeros((channels, 2))
        factors = np.zeros((5, max(1, LANES // channels), channels), np.float32)
        nothing, part = np.empty(0, np.uint16), np.empty(2 * LANES, np.float32)
        _compiled(_sums)(flat, nothing, period, factors.reshape(-1), sums, part)
        mean = sums[:, 0] / number
        variance = np.maximum(sums[:, 1] / number - mean**2, 0)
        inverse = 1 / np.sqrt(variance + layer.eps)
        factor = weight.detach().numpy() * inverse
        factors[0] = factor
        factors[1] = bias.detach().numpy() - mean * factor
        out = torch.empty_like(x)
        _compiled(_apply)(flat, nothing, period, factors.reshape(-1), numbers_of(out))
        for running, new in (
            (layer.running_mean, mean),
            (layer.running_var, variance * (number / (number - 1))),
        ):
            running.lerp_(torch.from_numpy(new).to(running), layer.momentum)
        layer.num_batches_tracked.add_(1)
        ctx.save_for_backward(x)
        ctx.rest = factors, factor, mean, inverse
        return out

    @staticmethod
    def backward(ctx, gradient):
        (x,), (factors, factor, mean, inverse) = ctx.saved_tensors, ctx.rest
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        channels, number = x.shape[1], x.numel() // x.shape[1]
        flat, slopes, period = numbers_of(x), numbers_of(gradient), max(1, channels // LANES)
        sums, part = np.zeros((channels, 2)), np.empty(2 * LANES, np.float32)
        _compiled(_sums)(flat, slopes, period, factors.reshape(-1), sums, part)
        total = sums[:, 0]
        product = inverse * (sums[:, 1] - mean * total)
        slope = -factor * inverse * product / number
        constant = -factor * total / number - slope * mean
        for row, values in ((2, factor), (3, slope), (4, constant)):
            factors[row] = values
        out = torch.empty_like(x)
        _compiled(_apply)(flat, slopes, period, factors.reshape(-1), numbers_of(out))
        return out, *(torch.from_numpy(t).float() for t in (product, total)), None


def numbers_of(x: Tensor) -> np.ndarray:
    """Return a view of a bfloat16 tensor's bits (uint16) in "channels last", in memory's order."""
    return x.detach().permute(0, 2, 3, 1).reshape(-1).view(torch.uint16).numpy()


def _compiled(function):
    halves, numbers = "u2[::1]", "f4[::1]"
    last = f"f8[:,::1], {numbers}" if function is _sums else halves
    return compiled(function, f"({halves}, {halves}, i8, {numbers}, {last})", reorder=True)


def normalise(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Return the positive part of a layer's normalised images, and update its running statistics.

    :func:`applies` must be true for the images, (N, C, H, W) bfloat16.
    """
    return _Normalise.apply(x, layer.weight, layer.bias, layer)
