"""Convolutions and batch normalisation of networks with few channels, compiled for the processor.

torch's convolutions are made for many channels, and use vectors badly where there are 4 to 32. Here
a lane of a vector is a pixel, so the number of channels does not matter.

**Layout.** A plane has all images of a batch in one channel, as a sequence of numbers. After each
row there is one zero, and after the last row of each image there is a row of zeros. So a neighbour
of a pixel is at the same distance in the sequence for every pixel, also beyond the image's edge. A
convolution needs neither rows nor edges: it is a sum over distances. The numbers between the images
are set to zero by a mask, see :class:`Plan`. A layer has the planes of its channels one after
another, in one array.
"""

import math
from functools import cached_property

import numpy as np

from passband.imaging.compiled import compiled
from passband.learning.narrow import resolution
from passband.learning.narrow.simd import (
    LANES,
    add,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    total,
    total_as_numpy,
    where_positive,
    zero,
)

#: Number of positions that a plane's length is a multiple of.
_STEP = 2 * LANES
# Number of positions whose products are added before the next pair of channels: these parts of the
# planes stay in the processor's first cache.
_CHUNK = 32 * LANES
# Number of terms that are added in float32 before the sum is added to a float64 sum.
_ADDED_TOGETHER = 4096


def aligned(*shape: int) -> np.ndarray:
    """Return a float32 array of zeros whose first element is at a multiple of 64 bytes."""
    size = int(np.prod(shape))
    memory = np.zeros(size + 16, np.float32)
    start = -memory.ctypes.data % 64 // 4
    return memory[start : start + size].reshape(shape)


def blocks(weights: np.ndarray) -> np.ndarray:
    """Return (…, outputs, inputs, taps) weights in the order of the compiled convolution.

    The result has the shape (…, outputs/4, inputs, taps, 4), so that weights are read in order.
    """
    *others, outputs, inputs, taps = weights.shape
    split = weights.reshape(*others, outputs // 4, 4, inputs, taps)
    return np.ascontiguousarray(np.moveaxis(split, -3, -1), np.float32)


class Plan:
    """The positions of a batch's pixels in a plane.

    Args:
        images, side: Number of images of the batch, and number of pixels along an image's side.

    Attributes:
        pixel_number: Number of pixels of all images.
        row, image: Distance of two rows, and distance of two images.
        first, number: The first position, and number of positions that are computed.
    """

    def __init__(self, images: int, side: int):
        self.images, self.side = images, side
        self.pixel_number = images * side**2
        self.row = side + 1
        self.image = self.row * self.row
        self.first = -(-(self.row + 1) // LANES) * LANES
        self.number = -(-images * self.image // _STEP) * _STEP
        length = (self.number + 2 * self.first) // LANES
        # With an even number of vectors, the planes could share few lines of the cache.
        self.length = (length + 1 - length % 2) * LANES

    @property
    def places(self) -> tuple[int, int, int, int, int]:
        """What the compiled functions need to find a pixel.

        The length of a plane, its first position, the distance of two rows, the number of images,
        and the pixels along a side.
        """
        return self.length, self.first, self.row, self.images, self.side

    def planes(self, channels: int) -> np.ndarray:
        """Return (channels, length) planes of zeros."""
        return aligned(channels, self.length)

    def pixels(self, planes: np.ndarray) -> np.ndarray:
        """Return the view (channels, images, side, side) of the pixels in planes."""
        inner = planes[:, self.first : self.first + self.images * self.image]
        return inner.reshape(-1, self.images, self.row, self.row)[..., : self.side, : self.side]

    @cached_property
    def mask(self) -> np.ndarray:
        """A plane with 1 at every pixel, and 0 between the images."""
        plane = self.planes(1)
        self.pixels(plane)[:] = 1
        return plane[0]

    @cached_property
    def taps(self) -> np.ndarray:
        """(1, 9): the distances to a pixel's 3 × 3 neighbours, row by row."""
        steps = np.arange(-1, 2)
        return (steps[:, None] * self.row + steps).reshape(1, 9)


def _convolve(
    x, weights, taps, mask, out, inputs, outputs, length, first, number, skip, shift, bias, adds,
    rectifies,
):  # fmt: skip
    """Write a convolution plus `bias`, or add the convolution to what is there if `adds` is true.

    Four output channels are computed at a time, at two vectors of positions. `weights` has the
    order of :func:`blocks`. If `rectifies` is true, negative results are set to 0. `taps` has a row
    for each group of weights. The input channels of the next group begin `skip` channels later, and
    its output channels `shift` channels later. If `shift` is 0, all groups are added.
    """
    groups, steps = taps.shape
    for group in range(groups):
        for p in range(first, first + number, 2 * LANES):
            m, n = load(mask, p), load(mask, p + LANES)
            for channel in range(0, outputs, 4):
                o0 = (group * shift + channel) * length + p
                o1, o2, o3 = o0 + length, o0 + 2 * length, o0 + 3 * length
                if adds or (group and not shift):
                    a0, a1, a2, a3 = load(out, o0), load(out, o1), load(out, o2), load(out, o3)
                    b0, b1 = load(out, o0 + LANES), load(out, o1 + LANES)
                    b2, b3 = load(out, o2 + LANES), load(out, o3 + LANES)
                else:
                    a0 = b0 = spread(bias, channel)
                    a1 = b1 = spread(bias, channel + 1)
                    a2 = b2 = spread(bias, channel + 2)
                    a3 = b3 = spread(bias, channel + 3)
                k = (group * outputs + channel) * inputs * steps
                for i in range(inputs):
                    for t in range(steps):
                        at = (group * skip + i) * length + p + taps[group, t]
                        u, v = load(x, at), load(x, at + LANES)
                        w = spread(weights, k)
                        a0, b0 = multiply_add(u, w, a0), multiply_add(v, w, b0)
                        w = spread(weights, k + 1)
                        a1, b1 = multiply_add(u, w, a1), multiply_add(v, w, b1)
                        w = spread(weights, k + 2)
                        a2, b2 = multiply_add(u, w, a2), multiply_add(v, w, b2)
                        w = spread(weights, k + 3)
                        a3, b3 = multiply_add(u, w, a3), multiply_add(v, w, b3)
                        k += 4
                if rectifies:
                    a0, a1 = where_positive(a0, a0), where_positive(a1, a1)
                    a2, a3 = where_positive(a2, a2), where_positive(a3, a3)
                    b0, b1 = where_positive(b0, b0), where_positive(b1, b1)
                    b2, b3 = where_positive(b2, b2), where_positive(b3, b3)
                store(out, o0, multiply(a0, m))
                store(out, o0 + LANES, multiply(b0, n))
                store(out, o1, multiply(a1, m))
                store(out, o1 + LANES, multiply(b1, n))
                store(out, o2, multiply(a2, m))
                store(out, o2 + LANES, multiply(b2, n))
                store(out, o3, multiply(a3, m))
                store(out, o3 + LANES, multiply(b3, n))


def _correlate3(gradient, x, taps, out, inputs, outputs, length, first, number):
    """Add the gradient of the weights of a convolution, whose number of taps is a multiple of 3.

    `out` has a vector of partial sums for each input channel, tap and output channel.
    """
    across, down = LANES, outputs * LANES
    for start in range(first, first + number, _CHUNK):
        stop = min(start + _CHUNK, first + number)
        for channel in range(0, outputs, 4):
            g0 = channel * length
            g1, g2, g3 = g0 + length, g0 + 2 * length, g0 + 3 * length
            for i in range(inputs):
                for t in range(0, len(taps), 3):
                    o = ((i * len(taps) + t) * outputs + channel) * LANES
                    q, r = o + down, o + 2 * down
                    a0, a1 = load(out, o), load(out, o + across)
                    a2, a3 = load(out, o + 2 * across), load(out, o + 3 * across)
                    b0, b1 = load(out, q), load(out, q + across)
                    b2, b3 = load(out, q + 2 * across), load(out, q + 3 * across)
                    c0, c1 = load(out, r), load(out, r + across)
                    c2, c3 = load(out, r + 2 * across), load(out, r + 3 * across)
                    x0 = i * length + taps[t]
                    x1, x2 = i * length + taps[t + 1], i * length + taps[t + 2]
                    for p in range(start, stop, LANES):
                        d0, d1 = load(gradient, g0 + p), load(gradient, g1 + p)
                        d2, d3 = load(gradient, g2 + p), load(gradient, g3 + p)
                        v = load(x, x0 + p)
                        a0, a1 = multiply_add(v, d0, a0), multiply_add(v, d1, a1)
                        a2, a3 = multiply_add(v, d2, a2), multiply_add(v, d3, a3)
                        v = load(x, x1 + p)
                        b0, b1 = multiply_add(v, d0, b0), multiply_add(v, d1, b1)
                        b2, b3 = multiply_add(v, d2, b2), multiply_add(v, d3, b3)
                        v = load(x, x2 + p)
                        c0, c1 = multiply_add(v, d0, c0), multiply_add(v, d1, c1)
                        c2, c3 = multiply_add(v, d2, c2), multiply_add(v, d3, c3)
                    store(out, o, a0)
                    store(out, o + across, a1)
                    store(out, o + 2 * across, a2)
                    store(out, o + 3 * across, a3)
                    store(out, q, b0)
                    store(out, q + across, b1)
                    store(out, q + 2 * across, b2)
                    store(out, q + 3 * across, b3)
                    store(out, r, c0)
                    store(out, r + across, c1)
                    store(out, r + 2 * across, c2)
                    store(out, r + 3 * across, c3)


def _correlate2(gradient, x, taps, out, inputs, outputs, length, first, number):
    """The same as :func:`_correlate3` for groups of output channels with an even number of taps."""
    across, down = LANES, outputs * LANES
    groups, steps = taps.shape
    for group in range(groups):
        for start in range(first, first + number, _CHUNK):
            stop = min(start + _CHUNK, first + number)
            for channel in range(0, outputs, 4):
                g0 = (group * outputs + channel) * length
                g1, g2, g3 = g0 + length, g0 + 2 * length, g0 + 3 * length
                for i in range(inputs):
                    for t in range(0, steps, 2):
                        o = (((group * inputs + i) * steps + t) * outputs + channel) * LANES
                        q = o + down
                        a0, a1 = load(out, o), load(out, o + across)
                        a2, a3 = load(out, o + 2 * across), load(out, o + 3 * across)
                        b0, b1 = load(out, q), load(out, q + across)
                        b2, b3 = load(out, q + 2 * across), load(out, q + 3 * across)
                        x0, x1 = i * length + taps[group, t], i * length + taps[group, t + 1]
                        for p in range(start, stop, LANES):
                            d0, d1 = load(gradient, g0 + p), load(gradient, g1 + p)
                            d2, d3 = load(gradient, g2 + p), load(gradient, g3 + p)
                            v = load(x, x0 + p)
                            a0, a1 = multiply_add(v, d0, a0), multiply_add(v, d1, a1)
                            a2, a3 = multiply_add(v, d2, a2), multiply_add(v, d3, a3)
                            v = load(x, x1 + p)
                            b0, b1 = multiply_add(v, d0, b0), multiply_add(v, d1, b1)
                            b2, b3 = multiply_add(v, d2, b2), multiply_add(v, d3, b3)
                        store(out, o, a0)
                        store(out, o + across, a1)
                        store(out, o + 2 * across, a2)
                        store(out, o + 3 * across, a3)
                        store(out, q, b0)
                        store(out, q + across, b1)
                        store(out, q + 2 * across, b2)
                        store(out, q + 3 * across, b3)


def _add_products(x, plane, sums, first, number):
    """Add the sum of the products of each channel with a plane to (channels,) float64 `sums`."""
    channels, length = x.shape
    for c in range(channels):
        for start in range(first, first + number, _ADDED_TOGETHER):
            a = b = zero()
            for p in range(start, min(start + _ADDED_TOGETHER, first + number), 2 * LANES):
                at = c * length + p
                a = multiply_add(load(x, at), load(plane, p), a)
                b = multiply_add(load(x, at + LANES), load(plane, p + LANES), b)
            sums[c] += total(add(a, b))


def _normalise(
    x, weight, bias, means, variances, mask, out, factors, constants, first, number, pixels,
    momentum, epsilon,
):  # fmt: skip
    """Normalise each channel by its batch, and write what is positive.

    The running `means` and `variances` are updated. `factors` receives, for each channel, the
    factor, the constant, the mean, and the inverse standard deviation. `constants` is memory for
    (channels, 3) float32 numbers.
    """
    channels, length = x.shape
    for c in range(channels):
        s0 = s1 = 0.0
        for start in range(first, first + number, _ADDED_TOGETHER):
            a = b = a2 = b2 = zero()
            for p in range(start, min(start + _ADDED_TOGETHER, first + number), 2 * LANES):
                u, v = load(x, c * length + p), load(x, c * length + p + LANES)
                a, b = add(a, u), add(b, v)
                a2, b2 = multiply_add(u, u, a2), multiply_add(v, v, b2)
            s0 += total(add(a, b))
            s1 += total(add(a2, b2))
        mean = s0 / pixels
        variance = max(s1 / pixels - mean * mean, 0.0)
        inverse = 1 / math.sqrt(variance + epsilon)
        factor = weight[c] * inverse
        constant = bias[c] - mean * factor
        factors[c, 0], factors[c, 1], factors[c, 2], factors[c, 3] = factor, constant, mean, inverse
        means[c] += momentum * (mean - means[c])
        variances[c] += momentum * (variance * pixels / (pixels - 1) - variances[c])
        constants[c, 0], constants[c, 1] = factor, constant
        f, g = spread(constants, 3 * c), spread(constants, 3 * c + 1)
        for p in range(first, first + number, LANES):
            y = multiply_add(load(x, c * length + p), f, g)
            store(out, c * length + p, multiply(where_positive(y, y), load(mask, p)))


def _normalise_back(
    gradient, x, factors, mask, weight_gradient, bias_gradient, constants, first, number, pixels
):
    """Replace the gradient of :func:`_normalise` by the gradient of its input.

    `constants` is memory for (channels, 3) float32 numbers.
    """
    channels, length = x.shape
    for c in range(channels):
        constants[c, 0], constants[c, 1] = factors[c, 0], factors[c, 1]
        factor, constant = spread(constants, 3 * c), spread(constants, 3 * c + 1)
        s0 = s1 = 0.0
        for start in range(first, first + number, _ADDED_TOGETHER):
            a = b = a2 = b2 = zero()
            for p in range(start, min(start + _ADDED_TOGETHER, first + number), 2 * LANES):
                at, next = c * length + p, c * length + p + LANES
                u, v = load(x, at), load(x, next)
                g = where_positive(multiply_add(u, factor, constant), load(gradient, at))
                h = where_positive(multiply_add(v, factor, constant), load(gradient, next))
                store(gradient, at, g)
                store(gradient, next, h)
                a, b = add(a, g), add(b, h)
                a2, b2 = multiply_add(u, g, a2), multiply_add(v, h, b2)
            s0 += total(add(a, b))
            s1 += total(add(a2, b2))
        mean, inverse = factors[c, 2], factors[c, 3]
        product = inverse * (s1 - mean * s0)
        weight_gradient[c], bias_gradient[c] = product, s0
        slope = -factors[c, 0] * inverse * product / pixels
        constants[c, 1], constants[c, 2] = slope, -factors[c, 0] * s0 / pixels - slope * mean
        f0, f1 = spread(constants, 3 * c), spread(constants, 3 * c + 1)
        f2 = spread(constants, 3 * c + 2)
        for p in range(first, first + number, LANES):
            at = c * length + p
            g = multiply_add(load(gradient, at), f0, multiply_add(load(x, at), f1, f2))
            store(gradient, at, multiply(g, load(mask, p)))


def _add_lanes(partial, out):
    """Write the sum of the lanes of each vector."""
    for k in range(len(out)):
        out[k] = total_as_numpy(load(partial, k * LANES))


_PLANES, _FLAT, _INTEGERS = "f4[:,::1]", "f4[::1]", "i8, i8, i8, i8, i8"
_PLACES = "i8, UniTuple(i8, 5), UniTuple(i8, 5)"
_TAPS, _PRECISE = "i8[:,::1]", "f8[:,::1]"
_SIGNATURES = {
    _convolve: [_FLAT, _FLAT, _TAPS, _FLAT, _FLAT, _INTEGERS, "i8, i8", _FLAT, "b1, b1"],
    _correlate3: [_FLAT, _FLAT, "i8[::1]", _FLAT, _INTEGERS],
    _correlate2: [_FLAT, _FLAT, _TAPS, _FLAT, _INTEGERS],
    _add_products: [_PLANES, _FLAT, "f8[::1], i8, i8"],
    _normalise: [_PLANES, *[_FLAT] * 5, _PLANES, _PRECISE, _PLANES, "i8, i8, i8, f8, f8"],
    _normalise_back: [_PLANES, _PLANES, _PRECISE, *[_FLAT] * 3, _PLANES, "i8, i8, i8"],
    resolution.pool: [_FLAT, _FLAT, _PLACES],
    resolution.add_pooled: [*[_FLAT] * 4, _PLACES],
    resolution.interleave: [_FLAT, _FLAT, _PLACES],
    resolution.separate: [_FLAT, _FLAT, _PLACES],
    _add_lanes: [_FLAT, _FLAT],
}


class Kernels:
    """The compiled functions of this module and of :mod:`passband.learning.narrow.resolution`.

    The first use of a function compiles it, or loads it.
    """

    def __getattr__(self, name: str):
        for function, signature in _SIGNATURES.items():
            if function.__name__.removeprefix("_") == name:
                reorder = function is not _add_lanes  # which adds in the order of numpy
                made = compiled(function, f"({', '.join(signature)})", reorder)
                setattr(self, name, made)
                return made
        raise AttributeError(name)


#: The compiled functions, by their names without the first underscore.
kernels = Kernels()
