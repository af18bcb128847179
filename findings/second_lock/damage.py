"""Damages real images on purpose: less dose by added noise, and fewer spatial frequencies.

See *Real images, damaged on purpose* in protocol.md. An image has no counts. Its noise is measured
where it varies least, and noise with the same spectrum is added.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from docs.scripts.real import PIXEL_A, read
from findings.second_lock import draws, locked
from passband.micrographs.images import preparation, tiles
from passband.micrographs.models.model import Model
from passband.scores import dice_of_masks

#: Doses of the damaged images, relative to that of the image.
DOSES = 1.0, 0.5, 0.25, 0.125
#: Side of a tile in which noise is measured, tiles along each axis, and how many of them count.
TILE_PX = 32
TILES = 4
QUIET = 4


@dataclass(frozen=True)
class Version:
    """A damaged image, as networks see it.

    Attributes:
        patch: The name of the image.
        dose: The share of its dose that is left.
        image: (rows, columns) float32, with the pixels of the networks, z-scored.
        mask: (height, width) bool, with the pixels of the image before it was resampled.
    """

    patch: str
    dose: float
    image: np.ndarray
    mask: np.ndarray


def versions(folder: Path, pixel_A: float, limit: float | None = None) -> Iterator[Version]:
    """Yield the images of a folder at all doses, the doses of an image one after another.

    Images whose masks are empty are left out.

    Args:
        folder: Has the folders `images` and `masks`.
        pixel_A: Side of the networks' pixels [Å].
        limit: The frequency beyond which signal and noise are cut [1/Å]; by default, nothing is.

    Raises:
        PassbandError: If the folder has no images, or an image has no mask.
    """
    digest = locked.digest()
    for patch in read(folder):
        if patch.is_empty:
            continue
        image = zscored(patch.image)
        random = draws.random(digest, f"damaged noise {patch.name}")
        white = random.normal(size=image.shape)
        noise = coloured(white, noise_power(image))
        for dose in DOSES:
            noisy = image + np.sqrt(1 / dose - 1) * noise
            seen = preparation.resample(noisy.astype(np.float32), PIXEL_A, pixel_A)
            if limit is not None:
                seen = low_pass(seen, pixel_A, limit)
            yield Version(patch.name, dose, zscored(seen), patch.mask)


def zscored(image: np.ndarray) -> np.ndarray:
    """Return an image with mean 0 and variance 1, float32."""
    values = np.asarray(image, np.float64)
    return ((values - values.mean()) / values.std(ddof=1)).astype(np.float32)


# ── Noise ────────────────────────────────────────────────────────────────────────────────────────


def noise_power(image: np.ndarray) -> np.ndarray:
    """Return the power of an image's noise at the frequencies 0, 1/32, …, ½ cycles a pixel.

    It is the mean power of the tiles that vary least, where no particle is; white noise with the
    variance 1 has the power 1. The background of these tiles counts as noise.

    Args:
        image: (height, width), each at least :data:`TILES` tiles.
    """
    side = TILE_PX * TILES
    top, left = ((n - side) // 2 for n in image.shape)
    middle = np.asarray(image, np.float64)[top : top + side, left : left + side]
    parts = middle.reshape(TILES, TILE_PX, TILES, TILE_PX).swapaxes(1, 2)
    parts = parts.reshape(-1, TILE_PX, TILE_PX)
    quiet = parts[np.argsort(parts.var((1, 2)), kind="stable")[:QUIET]]
    quiet = quiet - quiet.mean((1, 2), keepdims=True)
    along = np.hanning(TILE_PX + 1)[:-1]
    window = np.outer(along, along)
    power = (np.abs(np.fft.fft2(quiet * window)) ** 2).mean(0) / (window**2).sum()
    ring = np.rint(TILE_PX * frequencies(power.shape)).astype(int)
    inside = ring <= TILE_PX // 2
    found = np.bincount(ring[inside], power[inside]) / np.bincount(ring[inside])
    found[0] = found[1]  # the mean was taken out
    return found


def coloured(white: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Return noise with a spectrum.

    Args:
        white: (height, width), white noise with the variance 1.
        power: That of :func:`noise_power`; it is constant beyond ½ cycles a pixel.
    """
    q = np.arange(len(power)) / TILE_PX
    factor = np.sqrt(np.interp(frequencies(white.shape), q, power))
    return np.fft.ifft2(np.fft.fft2(white) * factor).real


def frequencies(shape: tuple[int, ...]) -> np.ndarray:
    """Return |q| of an image's Fourier coefficients [cycles a pixel]."""
    rows, columns = (np.fft.fftfreq(n) for n in shape)
    return np.hypot(rows[:, None], columns)


def low_pass(image: np.ndarray, pixel_A: float, limit: float) -> np.ndarray:
    """Return an image without the frequencies above a limit.

    The image is extended by its mirror image, since opposite edges of a real one differ.

    Args:
        pixel_A: Side of a pixel [Å].
        limit: The highest frequency that stays [1/Å].
    """
    height, width = image.shape
    spectrum = np.fft.fft2(np.pad(image, ((0, height), (0, width)), "symmetric"))
    spectrum[frequencies(spectrum.shape) > limit * pixel_A] = 0
    return np.fft.ifft2(spectrum).real[:height, :width].astype(np.float32)


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────


def dice(model: Model, version: Version, pixel_A: float) -> float:
    """Return the Dice of a network's mask, on the pixels of the image before it was resampled.

    Args:
        pixel_A: Side of the network's pixels [Å].
    """
    image = version.image
    probability = np.empty_like(image)
    tiling = tiles.Tiling.of(image.shape, model)
    for (rows, columns), seen in tiles.seen(model, image, tiling, np.asarray):
        probability[rows, columns] = seen[0]
    found = preparation.to_grid(probability, version.mask.shape, pixel_A / PIXEL_A)
    return dice_of_masks(found > 0.5, version.mask)
