"""Exact and fast Poisson counts, with a separate random sequence for each image.

The sum of independent Poisson counts is a Poisson count, and its mean is the sum of the means. So a
mean count below 128 is divided into a whole number, a number of sixteenths, and a rest below 1/16.
For the whole number and for the sixteenths there are tables, from which the alias method draws a
count with one look-up (A. J. Walker, *ACM Trans. Math. Softw.* 3, 253, 1977; the tables are made as
in M. D. Vose, *IEEE Trans. Softw. Eng.* 17, 972, 1991). The count of the rest is drawn by
inversion, and is nearly always 0. Drawing from tables needs few random branches and logarithms,
which make other methods slow. For mean counts of 128 or more, counts are drawn by transformed
rejection, with the algorithm PTRS of W. Hörmann (*Insurance: Mathematics and Economics* 12, 39,
1993). The probability of acceptance is computed without cancellation (C. Loader, *Fast and Accurate
Computation of Binomial Probabilities*, 2000).

The only approximation is the rounding of float64. Random bits are from the generator xoshiro256++
(D. Blackman & S. Vigna, *ACM Trans. Math. Softw.* 47, 36, 2021). The four words of the generator's
state fit into registers, and its period is much longer than any image needs. The seed is expanded
by splitmix64, as the authors of xoshiro256++ recommend, so that similar seeds give very different
states.
"""

import math
from collections.abc import Callable
from functools import cache

import numba
import numpy as np
from numba import float64, uint64

from passband.imaging.compiled import compiled

#: Counts with a mean below this number are drawn from tables, and other counts by rejection.
TABLED = 128
#: The fraction of a mean count is divided into so many equal parts for each count.
PARTS = 16
#: The largest mean count: beyond it, float64 cannot resolve a single electron.
LARGEST = 2.0**52
#: log2 of the number of counts in a table: for whole means, and for fractions of a mean. Larger
#: counts have probabilities below 1e-20 for whole means and below 1e-36 for fractions.
_WHOLE_BITS, _PART_BITS = 8, 5

# A decorator for functions that `_draw` calls. Such functions are compiled as parts of `_draw`.
_called = numba.njit(error_model="numpy")


def draw(intensity: np.ndarray, electrons: float, seed: int, counts: np.ndarray) -> None:
    """Draw the counts of an image.

    Args:
        intensity: Noise-free image; the intensity of vacuum is 1.
        electrons: Mean count where the intensity is 1.
        seed: Seed of the random generator, from 0 to 2**64 − 1.
        counts: The array that receives the counts, with the shape and dtype of `intensity`. float32
            represents whole numbers up to 2**24 exactly, and rounds larger numbers.

    Raises:
        ValueError: If a mean count is negative, not a number or above :data:`LARGEST`.
    """
    wrong = _compiled(intensity.dtype)(
        intensity.reshape(-1), electrons, np.uint64(seed), *_tables(), counts.reshape(-1)
    )
    if wrong >= 0:
        mean = float(intensity.flat[wrong]) * electrons
        raise ValueError(f"mean count {mean}: must be from 0 to {LARGEST:.3g}")


@cache
def _compiled(dtype: np.dtype) -> Callable:
    real = dtype.name
    return compiled(
        _draw, f"({real}[::1], float64, uint64, {'float64[:,::1], uint8[:,::1], ' * 2}{real}[::1])"
    )


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return Walker's tables of the mean counts 0, 1, 2 … and of the mean counts 0, 1/16, 2/16 …"""
    whole, parts = range(TABLED), (part / PARTS for part in range(PARTS))
    return *alias_tables(whole, 2**_WHOLE_BITS), *alias_tables(parts, 2**_PART_BITS)


def alias_tables(means, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Walker's tables of Poisson distributions.

    Args:
        size: Number of counts in the table of one distribution.

    Returns:
        (means, size) float64, (means, size) uint8: a count is first drawn uniformly. For each
        count, the first array has the probability that it is kept, and the second array has the
        count that is used if it is not kept.
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
        for k in low + high:  # their heights are 1 up to rounding
            height[k] = 1.0
        keep.append(height)
        instead.append(other)
    return np.array(keep), np.array(instead, np.uint8)


@_called
def _mixed(z):
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@_called
def _seeded(seed):
    """Return the initial state of xoshiro256++: the first four numbers of splitmix64."""
    step = uint64(0x9E3779B97F4A7C15)
    return (
        _mixed(seed + step),
        _mixed(seed + uint64(2) * step),
        _mixed(seed + uint64(3) * step),
        _mixed(seed + uint64(4) * step),
    )


@_called
def _turned(x, bits):
    return (x << uint64(bits)) | (x >> uint64(64 - bits))


@_called
def _next(state):
    """Return 64 random bits and the next state of xoshiro256++."""
    a, b, c, d = state
    bits = _turned(a + d, 23) + a
    c ^= a
    d ^= b
    return bits, (a ^ d, b ^ c, c ^ (b << uint64(17)), _turned(d, 45))


@_called
def _uniform(bits):
    """Return a number in [0, 1) from the first 53 of 64 bits."""
    return float64(bits >> uint64(11)) * 2.0**-53


@_called
def _look_up(keep, instead, width, bits):
    """Return a count by the alias method: the first bits choose a count, the others accept it."""
    count = bits >> uint64(64 - width)
    other = uint64(instead[count])
    return count if _uniform(bits << uint64(width)) < keep[count] else other


@_called
def _rejection(mean, state):
    """Return a count by Hörmann's algorithm PTRS, and the generator's next state.

    The mean count must be 10 or more. A count k is accepted if f(k) ≥ v·(…), as in Hörmann's paper,
    with log k! = (k + ½)·log k − k + ½·log 2π + 1/12k − 1/360k³ + 1/1260k⁵. This series is exact to
    the precision of float64 for every k that can be drawn with a mean of 128 or more. With such a
    mean, the count 0 has a probability below 1e-55.
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
    """Draw counts. Return the index of the first pixel with an invalid mean count, or −1."""
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
            if u >= 1 - rest:  # otherwise u < exp(−rest), and the count of the rest is 0
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
