"""Compiled functions between planes of a resolution and planes of half of it.

All arrays are sequences of float32: the planes of `Plan.planes` of
:mod:`passband.learning.narrow.kernels`, one channel after another. `plan` is `Plan.places` of the
planes, and `half` is that of the planes of half the resolution. Vectors compute the pixels of a
row, and plain loops compute those that are left.
"""

import numba
import numpy as np

from passband.learning.narrow.simd import (
    LANES,
    add,
    even,
    greater,
    high,
    load,
    low,
    odd,
    store,
    where_equal,
    zero,
)


@numba.njit(error_model="numpy")
def _place(places, channel, image, row):
    """Return the position of a row's first pixel; `places` is :attr:`Plan.places`."""
    length, first, across, _, side = places
    return channel * length + first + (image * (side + 1) + row) * across


def pool(x, out, channels, plan, half):
    """Write the largest of each four pixels of `x` to `out`, which has half the resolution."""
    for c in range(channels):
        for n in range(half[3]):
            for i in range(half[4]):
                p, q = _place(plan, c, n, 2 * i), _place(half, c, n, i)
                r, whole = p + plan[2], half[4] - half[4] % LANES
                for j in range(0, whole, LANES):
                    k = 2 * j
                    a0, a1 = load(x, p + k), load(x, p + k + LANES)
                    b0, b1 = load(x, r + k), load(x, r + k + LANES)
                    above = greater(even(a0, a1), odd(a0, a1))
                    store(out, q + j, greater(above, greater(even(b0, b1), odd(b0, b1))))
                for j in range(whole, half[4]):
                    k = 2 * j
                    out[q + j] = max(max(x[p + k], x[p + k + 1]), max(x[r + k], x[r + k + 1]))


def add_pooled(gradient, x, pooled, out, channels, plan, half):
    """Add to `out` the gradient of :func:`pool`, at the first of the largest pixels of `x`."""
    none = np.float32(0)
    for c in range(channels):
        for n in range(half[3]):
            for i in range(half[4]):
                p, q = _place(plan, c, n, 2 * i), _place(half, c, n, i)
                r, whole = p + plan[2], half[4] - half[4] % LANES
                for j in range(0, whole, LANES):
                    k = 2 * j
                    top, g, nothing = load(pooled, q + j), load(gradient, q + j), zero()
                    a0, a1 = load(x, p + k), load(x, p + k + LANES)
                    b0, b1 = load(x, r + k), load(x, r + k + LANES)
                    first, second, third = even(a0, a1), odd(a0, a1), even(b0, b1)
                    g0, g = (
                        where_equal(first, top, g, nothing),
                        where_equal(first, top, nothing, g),
                    )
                    g1, g = (
                        where_equal(second, top, g, nothing),
                        where_equal(second, top, nothing, g),
                    )
                    g2, g = (
                        where_equal(third, top, g, nothing),
                        where_equal(third, top, nothing, g),
                    )
                    store(out, p + k, add(load(out, p + k), low(g0, g1)))
                    store(out, p + k + LANES, add(load(out, p + k + LANES), high(g0, g1)))
                    store(out, r + k, add(load(out, r + k), low(g2, g)))
                    store(out, r + k + LANES, add(load(out, r + k + LANES), high(g2, g)))
                for j in range(whole, half[4]):
                    k = 2 * j
                    top, g = pooled[q + j], gradient[q + j]
                    is0 = x[p + k] == top
                    is1 = (x[p + k + 1] == top) & (not is0)
                    is2 = (x[r + k] == top) & (not (is0 | is1))
                    out[p + k] += g if is0 else none
                    out[p + k + 1] += g if is1 else none
                    out[r + k] += g if is2 else none
                    out[r + k + 1] += none if is0 | is1 | is2 else g


def interleave(quarters, out, channels, plan, half):
    """Write images whose pixels are in (4 · channels, …) images of half the resolution."""
    for c in range(channels):
        for n in range(half[3]):
            for i in range(2 * half[4]):
                p, first = _place(plan, c, n, i), 2 * (i % 2) * channels + c
                q, r = _place(half, first, n, i // 2), _place(half, first + channels, n, i // 2)
                whole = half[4] - half[4] % LANES
                for j in range(0, whole, LANES):
                    u, v = load(quarters, q + j), load(quarters, r + j)
                    store(out, p + 2 * j, low(u, v))
                    store(out, p + 2 * j + LANES, high(u, v))
                for j in range(whole, half[4]):
                    out[p + 2 * j], out[p + 2 * j + 1] = quarters[q + j], quarters[r + j]


def separate(x, quarters, channels, plan, half):
    """Write the four images of half the resolution; the inverse of :func:`interleave`."""
    for c in range(channels):
        for n in range(half[3]):
            for i in range(2 * half[4]):
                p, first = _place(plan, c, n, i), 2 * (i % 2) * channels + c
                q, r = _place(half, first, n, i // 2), _place(half, first + channels, n, i // 2)
                whole = half[4] - half[4] % LANES
                for j in range(0, whole, LANES):
                    u, v = load(x, p + 2 * j), load(x, p + 2 * j + LANES)
                    store(quarters, q + j, even(u, v))
                    store(quarters, r + j, odd(u, v))
                for j in range(whole, half[4]):
                    quarters[q + j], quarters[r + j] = x[p + 2 * j], x[p + 2 * j + 1]
