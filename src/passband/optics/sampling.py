"""The square grid of pixels of waves and images, and the part of a wave's spectrum that is kept."""

from dataclasses import dataclass
from math import ceil

import numpy as np

#: Exit waves are stored up to this fraction of the Nyquist frequency of the image. The fraction is
#: abTEM's ``antialias.cutoff``. With pixels of 0.3 Å at 300 kV, apertures of up to 21.9 mrad are
#: possible.
ANTIALIAS = 2 / 3

#: Fourier transforms are fast if the number of pixels along a side has only these prime factors.
PRIMES = 2, 3, 5, 7


def rest(number: int) -> int:
    """Return a positive number, divided by all its prime factors that are in :data:`PRIMES`."""
    for prime in PRIMES:
        while number % prime == 0:
            number //= prime
    return number


@dataclass(frozen=True)
class Sampling:
    """A square, periodic grid of pixels.

    Attributes:
        px: Pixels along each side.
    """

    px: int
    pixel_A: float

    @property
    def field_A(self) -> float:
        """Side of the field of view [Å]."""
        return self.px * self.pixel_A

    @property
    def cutoff(self) -> float:
        """Highest spatial frequency of a stored exit wave [1/Å]."""
        return ANTIALIAS / (2 * self.pixel_A)

    @property
    def half(self) -> int:
        """Largest index of a spatial frequency along an axis within :attr:`cutoff`."""
        return int(ANTIALIAS / 2 * self.px)

    @property
    def cropped(self) -> int:
        """Number of frequencies along a side of the cropped spectrum: indices −half … half."""
        return 2 * self.half + 1

    def finer(self, pixel_A: float) -> "Sampling":
        """Return a grid of the same field with pixels of at most the given size.

        Args:
            pixel_A: Largest side of a pixel of the returned grid [Å], at most that of the present
                grid.

        Returns:
            The grid with the smallest possible number of pixels along a side. All prime factors of
            this number are in :data:`PRIMES`.
        """
        # The factor ignores rounding errors where the pixel divides the field exactly.
        px = max(self.px, ceil(self.field_A / pixel_A * (1 - 1e-9)))
        while rest(px) > 1:
            px += 1
        return self if px == self.px else Sampling(px, self.field_A / px)

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Return spatial frequencies q [1/Å] and azimuths φ [rad] of the cropped spectrum.

        Both arrays are float64 of shape (cropped, cropped), with zero frequency in the centre. The
        first axis is x, as in abTEM.
        """
        k = np.arange(-self.half, self.half + 1) / self.field_A
        return np.hypot(k[:, None], k[None, :]), np.arctan2(k[None, :], k[:, None])

    def crop(self, wave: np.ndarray) -> np.ndarray:
        """Return the cropped spectrum of a wave on this grid, or on a finer grid of the same field.

        Args:
            wave: (..., n, n) complex, a wave on n ≥ `px` pixels.

        Returns:
            (..., cropped, cropped) complex: Fourier coefficients with zero frequency in the centre.
            A plane wave of amplitude 1 has the coefficient 1 at its frequency.
        """
        # scipy.fft is several times as fast as numpy.fft. It is imported here, since a check of a
        # study does not need it.
        import scipy.fft

        k = np.arange(-self.half, self.half + 1) % wave.shape[-1]
        spectrum = scipy.fft.fft2(wave, norm="forward")
        # The array is contiguous, since the last bits of later transforms depend on the layout in
        # memory.
        return np.ascontiguousarray(spectrum[..., k[:, None], k])

    @property
    def band(self) -> np.ndarray:
        """Whether each frequency (cropped, cropped) of a spectrum is within :attr:`cutoff`."""
        return self.frequencies()[0] <= self.cutoff * (1 + 1e-9)

    def density(self, power: np.ndarray) -> np.ndarray:
        """Return the power spectral density [Å²] of squared Fourier coefficients.

        For the coefficients c of :meth:`crop`, Σ|c|² is the mean of the wave's squared absolute
        value over the field. Each coefficient covers the area d²q = 1/field², so that
        ∫P d²q = Σ|c|² for the density P = |c|²·field².
        """
        return power * self.field_A**2

    def restore(self, spectrum: np.ndarray) -> np.ndarray:
        """Return the wave (..., px, px) that has a cropped spectrum: the inverse of :meth:`crop`.

        Args:
            spectrum: (..., cropped, cropped) complex, the cropped spectrum, from :meth:`crop`.
        """
        whole = np.zeros((*spectrum.shape[:-2], self.px, self.px), spectrum.dtype)
        k = np.arange(-self.half, self.half + 1) % self.px
        whole[..., k[:, None], k] = spectrum
        return np.fft.ifft2(whole, norm="forward")
