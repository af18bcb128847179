"""The square grid that waves and images live on, and the part of its spectrum that a wave fills."""

from dataclasses import dataclass

import numpy as np

#: Multislice keeps frequencies up to this share of the Nyquist frequency, so that products of
#: waves and transmission functions do not alias (Kirkland, *Advanced Computing in Electron
#: Microscopy*, 2nd ed., ch. 6). It is abTEM's ``antialias.cutoff``.
ANTIALIAS = 2 / 3


@dataclass(frozen=True)
class Sampling:
    """A square, periodic grid of pixels.

    Attributes
    ----------
    px : int
        Pixels along each side.
    pixel_A : float
        Side of a pixel [Å].
    """

    px: int
    pixel_A: float

    @property
    def field_A(self) -> float:
        """Side of the field of view [Å]."""
        return self.px * self.pixel_A

    @property
    def cutoff(self) -> float:
        """Highest spatial frequency that an exit wave holds [1/Å]."""
        return ANTIALIAS / (2 * self.pixel_A)

    @property
    def half(self) -> int:
        """Largest frequency index within the cutoff."""
        return int(ANTIALIAS / 2 * self.px)

    @property
    def cropped(self) -> int:
        """Side of the cropped spectrum: indices −half … half."""
        return 2 * self.half + 1

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Return q [1/Å] and azimuth φ [rad] on the cropped spectrum.

        Both are float64 of shape (cropped, cropped), zero frequency in the centre; the first axis
        is x, as in abTEM.
        """
        k = np.arange(-self.half, self.half + 1) / self.field_A
        return np.hypot(k[:, None], k[None, :]), np.arctan2(k[None, :], k[:, None])

    def crop(self, wave: np.ndarray) -> np.ndarray:
        """Return the cropped spectrum of a wave.

        Parameters
        ----------
        wave : (..., px, px) complex array
            A wave whose spectrum is zero beyond the cutoff.

        Returns
        -------
        (..., cropped, cropped) complex array
            Fourier coefficients, zero frequency in the centre; a plane wave of amplitude 1 has
            coefficient 1 there.
        """
        spectrum = np.fft.fftshift(np.fft.fft2(wave, norm="forward"), axes=(-2, -1))
        centre = self.px // 2
        keep = slice(centre - self.half, centre + self.half + 1)
        return spectrum[..., keep, keep]

    def density(self, power: np.ndarray) -> np.ndarray:
        """Return the power spectral density [Å²] of squared Fourier coefficients.

        Of coefficients as :meth:`crop` gives them, Σ|c|² is a mean square over the field; each
        stands for d²q = 1/field², so that ∫P d²q is the same for P = |c|²·field².
        """
        return power * self.field_A**2

    def restore(self, spectrum: np.ndarray) -> np.ndarray:
        """Return the wave whose cropped spectrum is given: the inverse of :meth:`crop`.

        Parameters
        ----------
        spectrum : (..., cropped, cropped) complex array
            From :meth:`crop`.

        Returns
        -------
        (..., px, px) complex array
            The wave.
        """
        whole = np.zeros((*spectrum.shape[:-2], self.px, self.px), spectrum.dtype)
        k = np.arange(-self.half, self.half + 1) % self.px
        whole[..., k[:, None], k] = spectrum
        return np.fft.ifft2(whole, norm="forward")
