"""Convolutions and batch normalisation of networks with few channels, compiled for the processor.

torch's convolutions are made for many channels, and use vectors badly where there are 4 to 32. Here
a lane of a vector is a pixel, so the number of channels does not matter.

**Layout.** A plane has all images of a batch in one channel, as a sequence of numbers. After each
row there is one zero, and after the last row of each image there is a row of zeros. So the neighbour
of a pixel is at the same distance in the sequence for every pixel, also beyond the image's edge, and
a convolution needs neither rows nor edges: it is a sum over distances. The numbers between the
images are set to zero by a mask, see :class:`Plan`. A layer has the planes of its channels one after
another, in one array.
"""

from functools import cached_property

import numpy as np

from passband.imaging.compiled import compiled
from passband.learning.lanes import (
    LANES,
    add,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    total,
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


class Plan:
    """The positions of a batch's pixels in a plane.

    Parameters
    ----------
    images, side : int
        Number of images of the batch, and number of pixels along an image's side.

    Attributes
    ----------
    pixel_number : int
        Number of pixels of all images.
    row, image : int
        Distance of two rows, and distance of two images.
    first, number : int
        The first position, and number of positions that are computed.
    length : int
        Length of a plane.
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
        """The distances to a pixel's 3 × 3 neighbours, row by row."""
        steps = np.arange(-1, 2)
        return (steps[:, None] * self.row + steps).ravel()


def _convolve(
    x, weights, taps, mask, out, inputs, outputs, length, first, number, bias, adds, rectifies
):
    """Write a convolution plus `bias`, or add the convolution to what is there if `adds` is true.

    `weights` has the weights by input channel, tap and output channel. Four output channels are
    computed at a time, at two vectors of positions. If `rectifies` is true, negative results are
    set to 0.
    """
    for p in range(first, first + number, 2 * LANES):
        m, n = load(mask, p), load(mask, p + LANES)
        for channel in range(0, outputs, 4):
            o0 = channel * length + p
            o1, o2, o3 = o0 + length, o0 + 2 * length, o0 + 3 * length
            if adds:
                a0, a1, a2, a3 = load(out, o0), load(out, o1), load(out, o2), load(out, o3)
                b0, b1 = load(out, o0 + LANES), load(out, o1 + LANES)
                b2, b3 = load(out, o2 + LANES), load(out, o3 + LANES)
            else:
                a0 = b0 = spread(bias, channel)
                a1 = b1 = spread(bias, channel + 1)
                a2 = b2 = spread(bias, channel + 2)
                a3 = b3 = spread(bias, channel + 3)
            k = channel
            for i in range(inputs):
                for t in range(len(taps)):
                    at = i * length + p + taps[t]
                    u, v = load(x, at), load(x, at + LANES)
                    w = spread(weights, k)
                    a0, b0 = multiply_add(u, w, a0), multiply_add(v, w, b0)
                    w = spread(weights, k + 1)
                    a1, b1 = multiply_add(u, w, a1), multiply_add(v, w, b1)
                    w = spread(weights, k + 2)
                    a2, b2 = multiply_add(u, w, a2), multiply_add(v, w, b2)
                    w = spread(weights, k + 3)
                    a3, b3 = multiply_add(u, w, a3), multiply_add(v, w, b3)
                    k += outputs
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
    """The same as :func:`_correlate3`, if the number of taps is even."""
    across, down = LANES, outputs * LANES
    for start in range(first, first + number, _CHUNK):
        stop = min(start + _CHUNK, first + number)
        for channel in range(0, outputs, 4):
            g0 = channel * length
            g1, g2, g3 = g0 + length, g0 + 2 * length, g0 + 3 * length
            for i in range(inputs):
                for t in range(0, len(taps), 2):
                    o = ((i * len(taps) + t) * outputs + channel) * LANES
                    q = o + down
                    a0, a1 = load(out, o), load(out, o + across)
                    a2, a3 = load(out, o + 2 * across), load(out, o + 3 * across)
                    b0, b1 = load(out, q), load(out, q + across)
                    b2, b3 = load(out, q + 2 * across), load(out, q + 3 * across)
                    x0, x1 = i * length + taps[t], i * length + taps[t + 1]
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


def _add_moments(x, sums, first, number):
    """Add the sums of x and x² of each channel to (channels, 2) float64 `sums`."""
    channels, length = x.shape
    for c in range(channels):
        for start in range(first, first + number, _ADDED_TOGETHER):
            a = b = a2 = b2 = zero()
            for p in range(start, min(start + _ADDED_TOGETHER, first + number), 2 * LANES):
                u, v = load(x, c * length + p), load(x, c * length + p + LANES)
                a, b = add(a, u), add(b, v)
                a2, b2 = multiply_add(u, u, a2), multiply_add(v, v, b2)
            sums[c, 0] += total(add(a, b))
            sums[c, 1] += total(add(a2, b2))


def _normalise(x, scale, shift, mask, out):
    """Write max(0, scale·x + shift) of each channel."""
    channels, length = x.shape
    for c in range(channels):
        a, b = scale[c], shift[c]
        for p in range(length):
            out[c, p] = max(a * x[c, p] + b, np.float32(0)) * mask[p]


def _add_slopes(gradient, x, scale, shift, sums, first, number):
    """Set the gradient to 0 where :func:`_normalise` wrote 0, and add the sums of g and g·x."""
    channels, length = x.shape
    for c in range(channels):
        factor, constant = spread(scale, c), spread(shift, c)
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
            sums[c, 0] += total(add(a, b))
            sums[c, 1] += total(add(a2, b2))


def _combine(gradient, x, factors, mask):
    """Replace the gradient g of each channel by f₀·g + f₁·x + f₂."""
    channels, length = x.shape
    for c in range(channels):
        f0, f1, f2 = factors[c, 0], factors[c, 1], factors[c, 2]
        for p in range(length):
            gradient[c, p] = (f0 * gradient[c, p] + f1 * x[c, p] + f2) * mask[p]


def _pool(x, out):
    """Write the largest of each four pixels. The arrays are (channels, images, rows, columns)."""
    channels, images, rows, columns = out.shape
    for c in range(channels):
        for n in range(images):
            for i in range(rows):
                for j in range(columns):
                    out[c, n, i, j] = max(
                        max(x[c, n, 2 * i, 2 * j], x[c, n, 2 * i, 2 * j + 1]),
                        max(x[c, n, 2 * i + 1, 2 * j], x[c, n, 2 * i + 1, 2 * j + 1]),
                    )


def _add_pooled(gradient, x, pooled, out):
    """Add the gradient of :func:`_pool` at the first of the largest pixels."""
    channels, images, rows, columns = pooled.shape
    none = np.float32(0)
    for c in range(channels):
        for n in range(images):
            for i in range(rows):
                for j in range(columns):
                    top, g = pooled[c, n, i, j], gradient[c, n, i, j]
                    is0 = x[c, n, 2 * i, 2 * j] == top
                    is1 = (x[c, n, 2 * i, 2 * j + 1] == top) & (not is0)
                    is2 = (x[c, n, 2 * i + 1, 2 * j] == top) & (not (is0 | is1))
                    out[c, n, 2 * i, 2 * j] += g if is0 else none
                    out[c, n, 2 * i, 2 * j + 1] += g if is1 else none
                    out[c, n, 2 * i + 1, 2 * j] += g if is2 else none
                    out[c, n, 2 * i + 1, 2 * j + 1] += none if is0 | is1 | is2 else g


def _interleave(quarters, out):
    """Write images whose pixels are in (4 · channels, …) images of half the resolution."""
    _, images, rows, columns = quarters.shape
    channels = len(out)
    for c in range(channels):
        for n in range(images):
            for i in range(rows):
                for j in range(columns):
                    out[c, n, 2 * i, 2 * j] = quarters[c, n, i, j]
                    out[c, n, 2 * i, 2 * j + 1] = quarters[channels + c, n, i, j]
                    out[c, n, 2 * i + 1, 2 * j] = quarters[2 * channels + c, n, i, j]
                    out[c, n, 2 * i + 1, 2 * j + 1] = quarters[3 * channels + c, n, i, j]


def _separate(x, quarters):
    """Write the four images of half the resolution; the inverse of :func:`_interleave`."""
    _, images, rows, columns = quarters.shape
    channels = len(x)
    for c in range(channels):
        for n in range(images):
            for i in range(rows):
                for j in range(columns):
                    quarters[c, n, i, j] = x[c, n, 2 * i, 2 * j]
                    quarters[channels + c, n, i, j] = x[c, n, 2 * i, 2 * j + 1]
                    quarters[2 * channels + c, n, i, j] = x[c, n, 2 * i + 1, 2 * j]
                    quarters[3 * channels + c, n, i, j] = x[c, n, 2 * i + 1, 2 * j + 1]


_PLANES, _IMAGES, _FLAT = "f4[:,::1]", "f4[:,:,:,:]", "f4[::1]"
_INTEGERS = ", ".join(["i8"] * 5)
_SIGNATURES = {
    _convolve: f"({_FLAT}, {_FLAT}, i8[::1], {_FLAT}, {_FLAT}, {_INTEGERS}, {_FLAT}, b1, b1)",
    _correlate3: f"({_FLAT}, {_FLAT}, i8[::1], {_FLAT}, {_INTEGERS})",
    _correlate2: f"({_FLAT}, {_FLAT}, i8[::1], {_FLAT}, {_INTEGERS})",
    _add_products: f"({_PLANES}, {_FLAT}, f8[::1], i8, i8)",
    _add_moments: f"({_PLANES}, f8[:,::1], i8, i8)",
    _normalise: f"({_PLANES}, {_FLAT}, {_FLAT}, {_FLAT}, {_PLANES})",
    _add_slopes: f"({_PLANES}, {_PLANES}, {_FLAT}, {_FLAT}, f8[:,::1], i8, i8)",
    _combine: f"({_PLANES}, {_PLANES}, f4[:,::1], {_FLAT})",
    _pool: f"({_IMAGES}, {_IMAGES})",
    _add_pooled: f"({_IMAGES}, {_IMAGES}, {_IMAGES}, {_IMAGES})",
    _interleave: f"({_IMAGES}, {_IMAGES})",
    _separate: f"({_IMAGES}, {_IMAGES})",
}


class Kernels:
    """The compiled functions of this module. The first use compiles them, or loads them."""

    @cached_property
    def _compiled(self) -> dict:
        return {
            function.__name__.lstrip("_"): compiled(function, signature, reorder=True)
            for function, signature in _SIGNATURES.items()
        }

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._compiled[name]


#: The compiled functions, by their names without the first underscore.
kernels = Kernels()
