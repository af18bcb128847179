"""Images of a random phase object, which is like a thin amorphous film, with known rings."""

import numpy as np

from passband.optics import ctf

ENERGY_EV = 300e3
PIXEL_A = 0.4
#: Width of the film's spectrum [1/Å].
_WIDTH = 0.5


def frequencies(px):
    """Return frequency [1/Å] and azimuth of the Fourier coefficients of an image (px, px)."""
    k = np.fft.fftfreq(px, PIXEL_A)
    return np.hypot(k[:, None], k), np.arctan2(k[None, :], k[:, None])


def film_image(px=256, dose=400.0, strength=1.0, contrast=0.0, seed=0, **lens):
    """Return the counts (px, px) of a film; lengths of the lens are in Å, see ctf.Optics."""
    rng = np.random.default_rng(seed)
    q, phi = frequencies(px)
    optics = ctf.Optics(ENERGY_EV, **lens)
    chi = ctf.aberration_phase(optics, q, phi)
    seen = np.sin(chi - np.arcsin(contrast)) * ctf.aperture(optics, q)
    film = np.fft.fft2(rng.normal(size=(px, px))) * np.exp(-((q / _WIDTH) ** 2))
    wave = np.fft.ifft2(film * seen).real
    mean = np.clip(1 + 0.3 * strength * wave, 0.05, None)
    return rng.poisson(mean * dose * PIXEL_A**2).astype(np.float32)


def specks(px=512, share=0.14):
    """Return a boolean image (px, px) of specks, between which little of it is background."""
    return np.random.default_rng(1).random((px, px)) < share
