"""What blurs an image between the specimen's exit and the count: vibration and the detector's MTF.

Both multiply the spectrum of the expected counts, *before* the Poisson draw. That is right for a
counting detector: each electron is counted once, whole, in a pixel not far from where it arrived,
so that the blur displaces electrons and the counts stay independent and Poisson. The noise then is
white, and DQE(f) = MTF(f)² (McMullan, Faruqi & Henderson, *Methods Enzymol.* 579, 1, 2016; Ruskin,
Yu & Grigorieff, *J. Struct. Biol.* 184, 385, 2013). In an integrating detector, a scintillator with
a CCD for one, each electron's light spreads over pixels, and the noise is blurred too; that is not
modelled.
"""

from collections.abc import Sequence

import numpy as np

from passband.sampling import Sampling


def vibration(rms: float, q: np.ndarray) -> np.ndarray:
    """Return exp(−2π²s²q²), what a Gaussian vibration leaves of an image's spectrum.

    It is the Fourier transform of the isotropic normal distribution of displacements; like the
    Debye–Waller factor it is exp(−Bq²/4) with B = 8π²s².

    Parameters
    ----------
    rms : float
        Standard deviation s of the displacement along any one direction [Å].
    q : array
        Spatial frequency [1/Å].

    Returns
    -------
    float64 array
        Of the shape of `q`.
    """
    return np.exp(-2 * np.pi**2 * rms**2 * q**2)


def mtf(
    form: str, f: np.ndarray, at_nyquist: float = 1.0, table: Sequence[Sequence[float]] = ()
) -> np.ndarray:
    """Return a detector's modulation transfer function.

    Parameters
    ----------
    form : {"none", "gaussian", "lorentzian", "table"}
        ``none`` is 1; ``gaussian`` is m^(f²), of a Gaussian point spread; ``lorentzian`` is
        1/(1 + (1/m − 1)f²), with the long tails that scattering in a detector gives (both are the
        terms that measured MTFs are commonly fitted with: de Ruijter & Weiss, *Rev. Sci. Instrum.*
        63, 4314, 1992; Weickenmeier, Nüchter & Mayer, *Optik* 99, 147, 1995). ``table`` is
        interpolated linearly and constant beyond its ends.
    f : array
        Spatial frequency over the Nyquist frequency.
    at_nyquist : float
        m, the MTF at the Nyquist frequency, for the two forms.
    table : sequence of (f, MTF)
        Pairs of ascending f.

    Returns
    -------
    float64 array
        Of the shape of `f`.

    Raises
    ------
    ValueError
        If the form is none of these.
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
    vibration_rms: float = 0.0,
    form: str = "none",
    at_nyquist: float = 1.0,
    table: Sequence[Sequence[float]] = (),
) -> np.ndarray:
    """Return what vibration and detector leave of an image's contrast.

    The MTF is taken to include the pixel's own sinc, as a measured one does; arguments are those of
    :func:`vibration` and :func:`mtf`, the vibration's in Å.

    Parameters
    ----------
    k : array
        Spatial frequency [cycles/pixel].

    Returns
    -------
    float64 array
        Of the shape of `k`; 1 at zero frequency, so that no electron is lost.
    """
    return vibration(vibration_rms, k / sampling.pixel_A) * mtf(form, 2 * k, at_nyquist, table)


def blur(
    sampling: Sampling,
    vibration_rms: float = 0.0,
    form: str = "none",
    at_nyquist: float = 1.0,
    table: Sequence[Sequence[float]] = (),
) -> np.ndarray | None:
    """Return :func:`response` over the spectrum of an image, laid out as ``rfft2`` wants it.

    Returns
    -------
    (px, px//2 + 1) float64 array or None
        None if it is 1 throughout.
    """
    if vibration_rms == 0 and (form == "none" or (form != "table" and at_nyquist == 1)):
        return None
    px = sampling.px
    k = np.hypot(np.fft.fftfreq(px)[:, None], np.fft.rfftfreq(px)[None, :])
    return response(sampling, k, vibration_rms, form, at_nyquist, table)
