"""The blur of an image by vibration and by the detector's modulation transfer function (MTF).

Vibration and MTF multiply the spectrum of the expected counts, *before* counts are drawn from the
Poisson distribution. This is correct for a counting detector, which counts each electron once, in a
pixel near the place where the electron arrived. So the blur displaces electrons, and the counts are
independent and Poisson distributed. The noise is white, and the detective quantum efficiency is
DQE(f) = MTF(f)² (McMullan, Faruqi & Henderson, *Methods Enzymol.* 579, 1, 2016; Ruskin, Yu &
Grigorieff, *J. Struct. Biol.* 184, 385, 2013). In an integrating detector, such as a scintillator
with a CCD, the light of each electron covers several pixels, so that the noise is blurred too.
Passband does not model integrating detectors.
"""

from collections.abc import Sequence

import numpy as np

from passband.optics.sampling import Sampling


def vibration(rms: float, q: np.ndarray) -> np.ndarray:
    """Return exp(−2π²s²q²), by which a Gaussian vibration multiplies the spectrum of an image.

    The factor is the Fourier transform of an isotropic normal distribution of displacements. It
    equals the Debye–Waller factor exp(−Bq²/4) with B = 8π²s².

    Args:
        rms: Standard deviation s of the displacement along one direction [Å].
        q: Spatial frequency [1/Å].

    Returns:
        float64: the factor, in the shape of `q`.
    """
    return np.exp(-2 * np.pi**2 * rms**2 * q**2)


def mtf(
    form: str, f: np.ndarray, at_nyquist: float = 1.0, table: Sequence[Sequence[float]] = ()
) -> np.ndarray:
    """Return a detector's modulation transfer function at the frequencies `f`.

    Args:
        form: The MTF ``none`` is 1 at every frequency. ``gaussian`` is m^(f²), the MTF of a
            Gaussian point spread function. ``lorentzian`` is 1/(1 + (1/m − 1)f²); its point spread
            function has long tails, as scattering in a detector causes. Sums of Lorentzian terms
            are commonly fitted to measured MTFs (de Ruijter & Weiss, *Rev. Sci. Instrum.* 63, 4314,
            1992; Weickenmeier, Nüchter & Mayer, *Optik* 99, 147, 1995). ``table`` interpolates
            linearly between the points of `table`, and is constant beyond the first and the last
            point.
        f: Spatial frequency, as a fraction of the Nyquist frequency.
        at_nyquist: m, the MTF at the Nyquist frequency, for ``gaussian`` and ``lorentzian``.
        table: Points of the MTF, with ascending f, each (f, MTF).

    Raises:
        ValueError: If the form of the MTF is unknown.
    """
    if form == "none":
        return np.ones_like(f)
    if form == "gaussian":
        return at_nyquist ** (f**2)
    if form == "lorentzian":
        return 1 / (1 + (1 / at_nyquist - 1) * f**2)
    if form == "table":
        return np.interp(f, *np.transpose(table))
    raise ValueError(f"MTF {form!r}: must be none, gaussian, lorentzian or table")


def response(
    sampling: Sampling,
    k: np.ndarray,
    vibration_rms: float,
    form: str,
    at_nyquist: float,
    table: Sequence[Sequence[float]],
) -> np.ndarray:
    """Return the factor by which vibration and detector reduce the contrast of an image.

    The MTF includes the sinc function of the square pixel, as a measured MTF does. `vibration_rms`
    is the `rms` of :func:`vibration` [Å], and `form`, `at_nyquist` and `table` are those of
    :func:`mtf`.

    Args:
        k: Spatial frequency [cycles/pixel].

    Returns:
        float64: the factor, in the shape of `k`. The factor is 1 at zero frequency: no electron is
        lost.
    """
    return vibration(vibration_rms, k / sampling.pixel_A) * mtf(form, 2 * k, at_nyquist, table)


def blur(
    sampling: Sampling,
    vibration_rms: float = 0.0,
    form: str = "none",
    at_nyquist: float = 1.0,
    table: Sequence[Sequence[float]] = (),
) -> np.ndarray | None:
    """Return :func:`response` at all frequencies of an image's spectrum, in ``rfft2``'s layout.

    Returns:
        (px, px//2 + 1) float64: the factor of vibration and MTF, or None if the factor is 1 at
        every frequency.
    """
    if vibration_rms == 0 and (form == "none" or (form != "table" and at_nyquist == 1)):
        return None
    px = sampling.px
    k = np.hypot(np.fft.fftfreq(px)[:, None], np.fft.rfftfreq(px)[None, :])
    return response(sampling, k, vibration_rms, form, at_nyquist, table)
