"""Power spectra of images: what a few images say of a microscope whose lens nobody knows.

The spectrum of a condition is that of images of some structures under it. Each image has mean 0 and
variance 1, and a Hann window. The power |FFT|² is averaged over the images and over rings from 0 to
the Nyquist frequency of the pixels. Neither the lens nor the dose is used.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from passband.analysis.profiles import Profiles

if TYPE_CHECKING:
    from passband.grid import Condition
    from passband.imaging.acquisition import Acquisition
    from passband.imaging.structures import Split

#: Images of a condition, and rings from 0 to the Nyquist frequency; of small images, half as many
#: rings as pixels along a side.
IMAGES = 16
RINGS = 32


def powers(images: np.ndarray) -> np.ndarray:
    """Return the mean power of each image in each ring, (n, ring).

    Args:
        images: (n, px, px), each with mean 0 and variance 1.
    """
    px = images.shape[-1]
    window = np.hanning(px + 1)[:-1]
    power = np.abs(np.fft.fft2(images * np.outer(window, window))) ** 2
    of_axis = np.fft.fftfreq(px)
    rings = min(RINGS, px // 2)
    ring = (np.hypot(*np.meshgrid(of_axis, of_axis)) * 2 * rings).astype(int)
    inside = ring < rings
    number = np.bincount(ring[inside])
    return np.stack([np.bincount(ring[inside], each[inside], rings) for each in power]) / number


def spectrum(images: np.ndarray) -> np.ndarray:
    """Return the decimal logarithm of the mean of :func:`powers` over images, (ring,)."""
    return np.log10(powers(images).mean(0))


def of_split(
    split: "Split", acquisition: "Acquisition", conditions: "Iterable[Condition]"
) -> np.ndarray:
    """Return the powers of a split's images under conditions, (condition, image, ring).

    Args:
        acquisition: Its normalisation must be ``zscore``.
    """
    images = (acquisition.images(split, each)[:, 0].numpy() for each in conditions)
    return np.stack([powers(each) for each in images])


def profiles(ids: Sequence[str] | np.ndarray, spectra: np.ndarray) -> Profiles:
    """Return profiles with spectra (condition, ring) as the parameters, and nothing else."""
    none = np.zeros(0)
    return Profiles(
        ids=np.asarray(ids),
        parameters={f"ring {k}": of_ring for k, of_ring in enumerate(spectra.T)},
        T=np.zeros((len(spectra), 0)),
        bits=np.zeros((len(spectra), 0)),
        log_dose=np.zeros(len(spectra)),
        frequency=none,
        azimuth=none,
        area=none,
        power=none,
    )
