"""What information metrics are functions of: the linear imaging of a specimen under conditions.

Signal and noise: linear imaging of a wave ψ̄(1 + a + ib) gives the contrast 2b(q)T(q). If P(q) is
the power spectral density of b [Å²], with ∫P d²q = ⟨b²⟩, the power spectral density of the contrast
is 4PT². The electron counts of a pixel have a Poisson distribution. A pixel of area p has p·dose
electrons on average, so the pixel's contrast has the variance 1/(p·dose). The noise of different
pixels is independent, so the noise has a flat power spectral density of 1/dose [Å²]. The spectral
signal-to-noise ratio is the power spectral density of the contrast divided by that of the noise,
s(q) = 4·dose·P(q)·T(q)².

Integrals are over the two-dimensional plane of spatial frequencies up to the band limit of the exit
waves: those of the condition, or those of the test condition for a pair. For round lenses, T
depends only on |q|, so d²q = 2πq dq. For lenses that are not round, the integrals also include the
azimuth. If two conditions have different exit waves, such as those of two beam energies, each has
its own weight w. Then TT′ has the weight √(ww′), and w·min(T², T′²) is min(wT², w′T′²).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class View:
    """The linear imaging of a specimen under several conditions.

    Attributes:
        T: (conditions, frequencies) float64, linear transfer T, from the exit wave to the electron
            counts. For a lens that is not round, each frequency has its own |q| and φ.
        dose: (conditions,) float64, dose under each condition [e/Å²].
        power: (frequencies,) float64, power spectral density P of b, the wave's linear phase
            contrast [Å²].
        area: (frequencies,) float64, d²q, the area of each frequency in an integral over the plane
            [1/Å²].
        q: (frequencies,) float64, |q| of each frequency [1/Å].
    """

    T: np.ndarray
    dose: np.ndarray
    power: np.ndarray
    area: np.ndarray
    q: np.ndarray

    @cached_property
    def u(self) -> np.ndarray:
        """w d²q, for integrals with the weight w = P, the specimen's power spectral density."""
        return self.power * self.area

    @cached_property
    def T2(self) -> np.ndarray:
        """T², the square of the linear transfer T."""
        return self.T**2

    @cached_property
    def s(self) -> np.ndarray:
        """Spectral signal-to-noise ratio s = 4·dose·P·T² [1]."""
        return 4 * self.dose[:, None] * self.power * self.T2

    @cached_property
    def bits(self) -> np.ndarray:
        """½log₂(1 + s), the information at each frequency (Shannon's capacity)."""
        return np.log2(1 + self.s) / 2

    @cached_property
    def W(self) -> np.ndarray:
        """Wiener filter W = T/(T² + 1/(4·dose·P)): W/2 times the contrast estimates b best."""
        return 4 * self.dose[:, None] * self.power * self.T / (1 + self.s)


@dataclass(frozen=True)
class Pair:
    """Views of a specimen under training and test conditions; arrays are (train, test)."""

    train: View
    test: View

    @cached_property
    def unsigned(self) -> "Pair":
        """This pair of views with |T| and |T′|, as if all contrast reversals were corrected."""
        return Pair(*(replace(view, T=np.abs(view.T)) for view in (self.train, self.test)))

    @cached_property
    def u(self) -> np.ndarray:
        """√(ww′) d²q, the weight of products TT′; w d²q if both sides have the same weight."""
        train = self.train.u
        test = self.test.u
        return test if np.array_equal(train, test) else np.sqrt(train * test)

    @cached_property
    def shared_bits(self) -> np.ndarray:
        """½∫log₂(1 + min(s, s′)) d²q [bits/Å²]."""
        return least(self.train.bits, self.test.bits, self.test.area)

    @cached_property
    def cross(self) -> np.ndarray:
        """K = ∫wWT′ d²q: covariance of b and its estimate under the test condition."""
        return (self.train.W * self.test.u) @ self.test.T.T

    @cached_property
    def power(self) -> np.ndarray:
        """V = ∫wW²T′² d²q + ∫W² d²q/(4·dose′): the power of the estimate, from signal and noise."""
        W2 = self.train.W**2
        signal = (W2 * self.test.u) @ self.test.T2.T
        return signal + np.outer(W2 @ self.test.area, 1 / (4 * self.test.dose))


def least(a: np.ndarray, b: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the sums over frequencies Σ u·min(a, b), as (train, test)."""
    from passband.imaging.compiled import compiled

    matrix = "float64[:,::1]"
    add = compiled(_add_least, f"({matrix}, {matrix}, float64[::1], {matrix})")
    result = np.empty((len(a), len(b)))
    for first in range(0, len(b), 128):  # 128 test conditions at a time fit into the cache
        part = np.ascontiguousarray(b[first : first + 128].T)
        sums = np.zeros((len(a), part.shape[1]))
        add(np.ascontiguousarray(a), part, u, sums)
        result[:, first : first + 128] = sums
    return result


def _add_least(a, b, u, sums):
    """Add Σ u·min(a, b) of a (train, frequencies) and b (frequencies, test), in one pass."""
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            x, weight = a[i, k], u[k]
            for j in range(b.shape[1]):  # the innermost loop, so that the compiler vectorizes it
                y = b[k, j]
                sums[i, j] += weight * (y if y < x else x)
