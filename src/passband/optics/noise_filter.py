"""The filter of counts: why the noise of an image has a spectrum.

The counts of a counting detector are independent, and their noise is white. An image is often
stored with other pixels: counts are averaged over blocks of pixels, or over a kernel, and a network
gets the image interpolated to its own pixels. Then neighbouring pixels share their noise. In an
integrating detector, the light of an electron covers several pixels, with the same effect.

The filter multiplies the spectrum of the *counts*, after they are drawn. So it acts on the noise
and on the signal alike. The modulation transfer function of :mod:`passband.optics.detector` acts
on the signal alone, before counts are drawn. The noise power spectrum of an image with the dose D
is then F(q)²·p²·D in counts² per pixel, where p is the side of a pixel and F the filter.
"""

from collections.abc import Sequence

import numpy as np


def binned(width: float, q: np.ndarray) -> np.ndarray:
    """Return the transform of an average over a square's side: sin(πqw)/(πqw).

    Args:
        width: The side w [Å].
        q: Spatial frequency along an axis [1/Å].
    """
    return np.sinc(q * width)


def hann(half_width: float, q: np.ndarray) -> np.ndarray:
    """Return the transform of a Hann kernel, ½(1 + cos(πx/w)) for |x| < w, divided by its integral.

    The transform is sinc(2qw)/(1 − (2qw)²) with sinc(x) = sin(πx)/(πx), and ½ at 2qw = 1 (Harris,
    *Proc. IEEE* 66, 51, 1978). Programs that draw a large image on few pixels often average with
    this kernel, whose half-width is then the side of a drawn pixel.

    Args:
        half_width: The distance w from the centre to the zeros of the kernel [Å].
        q: Spatial frequency along an axis [1/Å].
    """
    x = 2 * half_width * np.asarray(q, np.float64)
    pole = np.abs(np.abs(x) - 1) < 1e-6
    return np.where(pole, 0.5, np.sinc(x) / np.where(pole, 1.0, 1 - x**2))


def response(
    qx: np.ndarray,
    qy: np.ndarray,
    form: str,
    width_A: float = 1.0,
    table: Sequence[Sequence[float]] = (),
    stored_pixel_A: float = 0.0,
) -> np.ndarray:
    """Return the filter at spatial frequencies; it is 1 at zero frequency.

    Args:
        qx, qy: Spatial frequencies along the two axes [1/Å], of shapes that broadcast.
        form: ``white`` is 1. ``binned`` and ``hann`` are products of :func:`binned` and
            :func:`hann` along both axes. ``table`` depends on |q| only: it interpolates linearly
            between the points of `table`, and is constant beyond the last point.
        width_A: The side of a binned pixel, or the half-width of the Hann kernel [Å].
        table: Points of the filter, with ascending q [1/Å], each (q, F).
        stored_pixel_A: Side of the pixels with which images are stored before they are interpolated
            [Å]. Beyond the Nyquist frequency of these pixels along an axis, the filter is 0. With
            0, there is no such limit. Noise that aliasing folds back into the band is left out.

    Raises:
        ValueError: If the form is unknown.
    """
    if form == "white":
        result = np.ones(np.broadcast_shapes(np.shape(qx), np.shape(qy)))
    elif form in ("binned", "hann"):
        kernel = binned if form == "binned" else hann
        result = kernel(width_A, qx) * kernel(width_A, qy)
    elif form == "table":
        result = np.interp(np.hypot(qx, qy), *np.transpose(table))
    else:
        raise ValueError(f"noise {form!r}: must be white, binned, hann or table")
    if stored_pixel_A:
        nyquist = 0.5 / stored_pixel_A * (1 + 1e-9)
        result = result * ((np.abs(qx) <= nyquist) & (np.abs(qy) <= nyquist))
    return result


def on_grid(
    shape: tuple[int, int],
    pixel_A: float,
    form: str,
    width_A: float = 1.0,
    table: Sequence[Sequence[float]] = (),
    stored_pixel_A: float = 0.0,
) -> np.ndarray:
    """Return :func:`response` for images of a shape, in ``rfft2``'s layout: (h, w//2 + 1) float64.

    `pixel_A` is the side of a pixel [Å].
    """
    qx = np.fft.fftfreq(shape[0], pixel_A)[:, None]
    qy = np.fft.rfftfreq(shape[1], pixel_A)[None, :]
    return response(qx, qy, form, width_A, table, stored_pixel_A)
