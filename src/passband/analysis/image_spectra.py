"""Power spectra of images: what a few images say of a microscope whose lens nobody knows.

Each image has mean 0 and variance 1, and a Hann window. Its power |FFT|² is averaged over rings
from 0 to the Nyquist frequency. The spectrum is the logarithm of the mean over images.
"""

from collections.abc import Sequence

import numpy as np

from passband.analysis.profiles import Profiles
from passband.errors import PassbandError
from passband.seeds import generator

#: Images of a condition, and rings; of small images, half as many as pixels along a side.
IMAGES = 16
RINGS = 32
#: The least power of a ring, as a part of the mean over the rings.
_LEAST = 1e-6
#: Number of principal components that lenses and doses may change; how often images of each
#: microscope are drawn for the limit of what is left; and the share of these within the limit. All
#: were chosen on simulated images of gold and seven other materials, see docs/recommend.md.
_COMPONENTS = 8
_DRAWS = 4
_WITHIN = 0.98


def powers(images: np.ndarray) -> np.ndarray:
    """Return the mean power of each image (n, px, px) in each ring, (n, ring)."""
    px = images.shape[-1]
    window = np.hanning(px + 1)[:-1]
    power = np.abs(np.fft.fft2(images * np.outer(window, window))) ** 2
    of_axis = np.fft.fftfreq(px)
    rings = min(RINGS, px // 2)
    ring = (np.hypot(*np.meshgrid(of_axis, of_axis)) * 2 * rings).astype(int)
    inside = ring < rings
    number = np.bincount(ring[inside])
    return np.stack([np.bincount(ring[inside], each[inside], rings) for each in power]) / number


def spectrum(powers: np.ndarray) -> np.ndarray:
    """Return the decimal logarithm of the mean over images of powers (…, image, ring).

    A ring without power, such as beyond the pixels with which images were stored, has a millionth
    of the mean power, so that rounding errors are not compared.
    """
    mean = powers.mean(-2)
    return np.log10(np.maximum(mean, _LEAST * mean.mean(-1, keepdims=True)))


def profiles(ids: Sequence[str] | np.ndarray, spectra: np.ndarray) -> Profiles:
    """Return profiles with spectra (condition, ring) as the parameters, and nothing else."""
    of_condition, none = np.zeros((len(spectra), 0)), np.zeros(0)
    return Profiles(
        ids=np.asarray(ids),
        parameters={f"ring {k}": of_ring for k, of_ring in enumerate(spectra.T)},
        T=of_condition,
        bits=of_condition,
        log_dose=np.zeros(len(spectra)),
        frequency=none,
        azimuth=none,
        area=none,
        power=none,
    )


def unlikeness(own: np.ndarray, simulated: np.ndarray) -> float:
    """Return how unlike simulated images a few images are; above 1 for another kind of images.

    The principal components of the simulated spectra hold what a lens and a dose change. What is
    left of the images' spectrum is compared with what is left of that of as many images, or all if
    there are fewer, of a simulated microscope, each left out in turn.

    Args:
        own: (n, ring), powers of the images.
        simulated: (microscope, structure, ring), powers.
    """
    spectra = spectrum(simulated)
    random = generator("image spectra")
    usual = []
    for place, of_microscope in enumerate(simulated):
        others = np.delete(spectra, place, axis=0)
        for _ in range(_DRAWS):
            chosen = random.permutation(len(of_microscope))[: len(own)]
            usual.append(_left(spectrum(of_microscope[chosen]), others))
    return _times(_left(spectrum(own), spectra), np.stack(usual))


def apart(one: np.ndarray, other: np.ndarray, simulated: np.ndarray) -> float:
    """Return how far apart two sets of images are; above 1 for different specimens or lenses.

    Their spectra differ, and so do those of two halves of the images of a simulated microscope, of
    as many images if there are enough.

    Args:
        one, other: (n, ring), powers of the images.
        simulated: (microscope, structure, ring), powers.

    Raises:
        PassbandError: If there is one structure only.
    """
    random = generator("pairs of image spectra")
    half = simulated.shape[1] // 2
    if not half:
        raise PassbandError(
            "files are compared as pairs of simulated images are, and the study has one structure; "
            "give one file, or a study with two structures or more"
        )
    usual = []
    for of_microscope in simulated:
        for _ in range(_DRAWS):
            halves = np.split(random.permutation(of_microscope)[: 2 * half], 2)
            pair = (spectrum(of[: len(own)]) for of, own in zip(halves, (one, other), strict=True))
            usual.append(np.subtract(*pair))
    return _times(spectrum(one) - spectrum(other), np.stack(usual))


def _times(difference: np.ndarray, usual: np.ndarray) -> float:
    """Return a difference (ring,) as a multiple of the limit of usual ones (case, ring).

    The largest ring counts, divided by the usual size there; the limit is what 98% of the usual
    ones are within.
    """
    scale = np.sqrt(np.square(usual).mean(0))
    limit = np.quantile((np.abs(usual) / scale).max(1), _WITHIN)
    return float((np.abs(difference) / scale).max() / limit)


def _left(spectrum: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return what is left of a spectrum beyond the principal components of others."""
    away = spectrum - others.mean(0)
    components = np.linalg.svd(others - others.mean(0), full_matrices=False)[2][:_COMPONENTS]
    return away - away @ components.T @ components
