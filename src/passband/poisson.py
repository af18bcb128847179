"""Poisson counts, drawn exactly and fast, every image from a stream of its own.

A sum of independent Poisson counts is a Poisson count whose mean is the sum of theirs. So a mean
below 128 is taken apart into a whole number, a number of sixteenths and a rest below 1/16. The
first two have tables of their distributions, from which the alias method draws with one look-up
(A. J. Walker, *ACM Trans. Math. Softw.* 3, 253, 1977; the tables are made as in M. D. Vose, *IEEE
Trans. Softw. Eng.* 17, 972, 1991); the rest is drawn by inversion and nearly always gives 0. Hardly
a branch depends on chance, and no logarithm is taken: what a processor waits for in other methods.
Larger means go by transformed rejection, the algorithm PTRS of W. Hörmann (*Insurance: Mathematics
and Economics* 12, 39, 1993), whose acceptance is evaluated without cancellation (C. Loader, *Fast
and Accurate Computation of Binomial Probabilities*, 2000).

Nothing is approximated but by the rounding of float64. Random bits are xoshiro256++'s (D. Blackman
& S. Vigna, *ACM Trans. Math. Softw.* 47, 36, 2021): four words of state, which stay in registers,
and a period that no image comes near. Its authors have it seeded by splitmix64, which makes
unlike states of the likest of seeds.
"""

import math
from functools import cache

import numba
import numpy as np
from numba import float64, uint64

from passband.compiled import compiled

#: Means from here on are drawn by rejection.
TABLED = 128
#: Parts of a count that a mean's fraction is divided into.
PARTS = 16
#: The largest mean: beyond, float64 has no digits left for a single electron.
LARGEST = 2.0**52
#: log2 of the counts in a table. What lies beyond has a probability below 1e-20 and 1e-36.
_WHOLE_BITS, _PART_BITS = 8, 5

# Parts of `_draw`, which compiles them into itself.
_part = numba.njit(error_model="numpy")


def draw(intensity: np.ndarray, electrons: float, seed: int, counts: np.ndarray) -> None:
    """Draw an image's counts.

    Parameters
    ----------
    intensity : contiguous float32 or float64 array
        Noise-free image, vacuum 1.
    electrons : float
        Mean count where the intensity is 1.
    seed : int
        Between 0 and 2**64 − 1.
    counts : contiguous array
        Of the shape and dtype of `intensity`; what is in it is written over. float32 holds whole
        numbers up to 2**24 and rounds larger ones to one of its own.

    Raises
    ------
    ValueError
        If a mean is negative, not a number or above :data:`LARGEST`.
    """
    real = intensity.dtype.name
    signature = f"({real}[::1], float64, uint64, {'float64[:,::1], uint8[:,::1], ' * 2}{real}[::1])"
    wrong = compiled(_draw, signature)(
        intensity.reshape(-1), electrons, np.uint64(seed), *_tables(), counts.reshape(-1)
    )
    if wrong >= 0:
        mean = float(intensity.flat[wrong]) * electrons
        raise ValueError(f"mean count {mean}: must be from 0 to {LARGEST:.3g}")


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the tables of means 0, 1, 2 … and of those of 0, 1/16, 2/16 …"""
    whole, parts = range(TABLED), (part / PARTS for part in range(PARTS))
    return *alias_tables(whole, 2**_WHOLE_BITS), *alias_tables(parts, 2**_PART_BITS)


def alias_tables(means, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Walker's tables of Poisson distributions.

    Parameters
    ----------
    means : iterable of float
        Means of the distributions.
    size : int
        Counts in a table.

    Returns
    -------
    (means, size) float64 array, (means, size) uint8 array
        Of a count that is chosen evenly, the probability to keep it, and the count to take instead.
    """
    keep, instead = [], []
    for mean in means:
        height = [math.exp(-mean)]
        for k in range(1, size):
            height.append(height[-1] * mean / k)
        height, other = [size * p for p in height], list(range(size))
        low = [k for k in range(size) if height[k] < 1]
        high = [k for k in range(size) if height[k] >= 1]
        while low and high:
            short, tall = low.pop(), high[-1]
            other[short] = tall
            height[tall] -= 1 - height[short]
            if height[tall] < 1:
                low.append(high.pop())
        for k in low + high:  # 1 but for rounding
            height[k] = 1.0
        keep.append(height)
        instead.append(other)
    return np.array(keep), np.array(instead, np.uint8)


@_part
def _mixed(z):
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@_part
def _seeded(seed):
    """Return xoshiro256++'s state: the first four numbers of splitmix64."""
    step = uint64(0x9E3779B97F4A7C15)
    return (
        _mixed(seed + step),
        _mixed(seed + uint64(2) * step),
        _mixed(seed + uint64(3) * step),
        _mixed(seed + uint64(4) * step),
    )


@_part
def _turned(x, bits):
    return (x << uint64(bits)) | (x >> uint64(64 - bits))


@_part
def _next(state):
    """Return 64 random bits and xoshiro256++'s next state."""
    a, b, c, d = state
    bits = _turned(a + d, 23) + a
    c ^= a
    d ^= b
    return bits, (a ^ d, b ^ c, c ^ (b << uint64(17)), _turned(d, 45))


@_part
def _uniform(bits):
    """Return a number from 0 to below 1, of the first 53 of 64 bits."""
    return float64(bits >> uint64(11)) * 2.0**-53


@_part
def _look_up(keep, instead, width, bits):
    """Return a count by the alias method: the first bits choose it, the others keep it or not."""
    count = bits >> uint64(64 - width)
    other = uint64(instead[count])
    return count if _uniform(bits << uint64(width)) < keep[count] else other


@_part
def _rejection(mean, state):
    """Return a count by PTRS, and the next state. For means of 10 or more.

    Acceptance is f(k) ≥ v·(…) as there, with log k! = (k + ½)·log k − k + ½·log 2π + 1/12k −
    1/360k³ + 1/1260k⁵, which is exact to float64 at every k that means from 128 on can give; 0 has
    a probability below 1e-55.
    """
    root = math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    height = 0.9277 - 3.6224 / (b - 2)
    alpha = 1 / (1.1239 + 1.1328 / (b - 3.4))
    while True:
        bits, state = _next(state)
        u = _uniform(bits) - 0.5
        bits, state = _next(state)
        v = _uniform(bits)
        us = 0.5 - abs(u)
        if us == 0:
            continue
        k = np.floor((2 * a / us + b) * u + mean + 0.445)
        if us >= 0.07 and v <= height:
            return k, state
        if k <= 0 or (us < 0.013 and v > us):
            continue
        beyond = (mean - k) / k
        stirling = (1 / 12 - (1 / 360 - 1 / 1260 / (k * k)) / (k * k)) / k
        density = math.exp(k * (math.log1p(beyond) - beyond) - stirling)
        if v / (alpha * (a / (us * us) + b)) * math.sqrt(2 * math.pi * k) <= density:
            return k, state


def _draw(intensity, electrons, seed, whole_keep, whole_instead, part_keep, part_instead, counts):
    """Draw counts; return the number of the first pixel whose mean is none, or −1."""
    state = _seeded(seed)
    for i in range(intensity.size):
        mean = float64(intensity[i]) * electrons
        if 0 <= mean < TABLED:
            whole = int(mean)
            part = int((mean - whole) * PARTS)
            rest = mean - whole - part / PARTS
            bits, state = _next(state)
            count = _look_up(whole_keep[whole], whole_instead[whole], _WHOLE_BITS, bits)
            bits, state = _next(state)
            count += _look_up(part_keep[part], part_instead[part], _PART_BITS, bits)
            bits, state = _next(state)
            u = _uniform(bits)
            if u >= 1 - rest:  # else u < exp(−rest), and no exponential is needed to know it
                p = math.exp(-rest)
                k = 0
                while u >= p and p > 0:
                    u -= p
                    k += 1
                    p *= rest / k
                count += uint64(k)
            counts[i] = count
        elif TABLED <= mean <= LARGEST:
            k, state = _rejection(mean, state)
            counts[i] = k
        else:
            return i
    return -1
