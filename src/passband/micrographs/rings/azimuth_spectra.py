"""Power spectra of an image's background by azimuth, in which the lens draws Thon rings.

A thin amorphous film scatters into all spatial frequencies. The transfer of the lens is zero at
some of them, so that the power spectrum of the image has dark rings (Thon, *Z. Naturforsch.* 21a,
476, 1966).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from passband.errors import PassbandError

#: Number of sectors of azimuth, over half a turn. The other half of the spectrum is the same.
SECTORS = 12
#: Side of the largest tile whose spectrum is computed [pixels]. The spectra of tiles are averaged.
LARGEST_TILE = 1024
#: Fraction of a tile's side over which its taper rises and falls.
_TAPER = 0.25
#: Coefficients above this multiple of their ring's mean power are left out: spots of a lattice. If
#: powers are exponentially distributed, one in 150 is above it, and all means fall by 4%.
_SPOT = 5.0
#: A tile is used if at least this fraction of it is background.
_LEAST_BACKGROUND = 0.05


@dataclass(frozen=True)
class Spectrum:
    """The power spectrum of a background, in cells of one ring and one sector each.

    Attributes:
        q: (cells,) float64, mean spatial frequency of a cell's coefficients [1/Å].
        azimuth: (cells,) float64, azimuth of the cell's sector [rad], from the image's first axis
            towards its second axis, as in :mod:`passband.optics.ctf`.
        power: (cells,) float64, mean power of the coefficients, in squared grey values per pixel.
        number: (cells,) float64, number of independent coefficients in the cell: less than the
            number of coefficients, since a taper and the mask of the background correlate them.
        step: Width of a ring [1/Å].
        background: The fraction of the image that is background.
    """

    q: np.ndarray
    azimuth: np.ndarray
    power: np.ndarray
    number: np.ndarray
    step: float
    background: float

    def within(self, low: float, high: float) -> "Spectrum":
        """Return the cells whose spatial frequency is between `low` and `high` [1/Å]."""
        inside = (self.q >= low) & (self.q <= high)
        return self._of(inside)

    def sector(self, azimuth: float) -> "Spectrum":
        """Return the cells of the sector at an azimuth [rad]."""
        return self._of(np.isclose(self.azimuth, azimuth))

    def _of(self, chosen: np.ndarray) -> "Spectrum":
        cells = ("q", "azimuth", "power", "number")
        return replace(self, **{name: getattr(self, name)[chosen] for name in cells})

    def merged(self, sectors: int = 1, rings: int = 1) -> "Spectrum":
        """Return the spectrum with fewer sectors, and with `rings` rings merged into one."""
        ring = np.rint(self.q / self.step).astype(int) // rings
        width = np.pi / sectors
        sector = np.minimum((self.azimuth / width).astype(int), sectors - 1)
        _, group = np.unique(ring * sectors + sector, return_inverse=True)
        number = np.bincount(group, self.number)
        mean = [np.bincount(group, v * self.number) / number for v in (self.q, self.power)]
        middle = (np.bincount(group, sector) / np.bincount(group) + 0.5) * width
        return Spectrum(mean[0], middle, mean[1], number, self.step * rings, self.background)


def spectrum(
    image: np.ndarray, pixel_size_A: float, background: np.ndarray, smoothing_A: float
) -> Spectrum:
    """Return the power spectrum of an image's background.

    The mean over the surroundings of each pixel is subtracted. What is left is multiplied by the
    background's weights and by a taper, so that edges add no power.

    Args:
        image: (height, width), grey values.
        background: (height, width), the weight of each pixel, from 0 for a particle to 1 for the
            background.
        smoothing_A: Standard deviation of the Gaussian surroundings whose mean is subtracted [Å].

    Raises:
        PassbandError: If no tile has enough background.
    """
    image = np.asarray(image, np.float64)
    sigma = smoothing_A / pixel_size_A
    nearby = np.maximum(gaussian_filter(background, sigma), 1e-6)
    rough = (image - gaussian_filter(image * background, sigma) / nearby) * background
    side = min(*image.shape, LARGEST_TILE)
    side -= side % 2
    taper = np.outer(_taper(side), _taper(side))
    ring, sector, position, half = _places(side)
    rings = side // 2
    power = count = independent = 0.0
    for rows, columns in _tiles(image.shape, side):
        weights = taper * background[rows, columns]
        square = (weights**2).sum()
        if square < _LEAST_BACKGROUND * (taper**2).sum():
            continue
        found = np.abs(np.fft.rfft2(rough[rows, columns] * taper)) ** 2 / square
        found = found.ravel()[position]
        kept = found < _SPOT * _ring_means(found, ring)[ring]
        cells = (ring * SECTORS + sector)[kept]
        number = rings * SECTORS
        power = power + np.bincount(cells, found[kept] * half[kept], number)
        tile_count = np.bincount(cells, half[kept], number)
        count = count + tile_count
        independent = independent + tile_count * square**2 / (weights**4).sum() / weights.size
    if not np.any(count):
        raise PassbandError(
            f"{background.mean():.1%} of the image is background, which is too little for rings"
        )
    radius = np.hypot(*_frequencies(side)).ravel()[position]
    cells = ring * SECTORS + sector
    total = np.bincount(cells, half, rings * SECTORS)
    used = np.flatnonzero(count > 0)
    q = np.bincount(cells, radius * half, rings * SECTORS)[used] / total[used]
    # Tiles overlap by half, and the overlap adds little to what the tiles know.
    overlap = max(1.0, len(list(_tiles(image.shape, side))) * side**2 / image.size)
    return Spectrum(
        q / (side * pixel_size_A),
        (used % SECTORS + 0.5) * np.pi / SECTORS,
        power[used] / count[used],
        independent[used] / overlap,
        1 / (side * pixel_size_A),
        float(background.mean()),
    )


def _taper(side: int) -> np.ndarray:
    """Return a cosine taper (side,), which is 1 in the middle."""
    position = (np.arange(side) + 0.5) / side
    rise = np.minimum(1, np.minimum(position, 1 - position) / _TAPER)
    return 0.5 - 0.5 * np.cos(np.pi * rise)


def _frequencies(side: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.fft.fftfreq(side, 1 / side)[:, None]
    return np.broadcast_arrays(first, np.arange(side // 2 + 1)[None, :])


def _places(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return ring, sector, position and weight of each coefficient of a half spectrum.

    Coefficients on the edges of the half spectrum are there twice, so each weighs ½.
    """
    first, second = _frequencies(side)
    ring = np.rint(np.hypot(first, second)).astype(int)
    azimuth = np.arctan2(second, first) % np.pi
    sector = np.minimum((azimuth / np.pi * SECTORS).astype(int), SECTORS - 1)
    weight = np.where((second == 0) | (second == side // 2), 0.5, 1.0)
    position = np.flatnonzero((ring > 0) & (ring < side // 2))
    return (*(v.ravel()[position] for v in (ring, sector)), position, weight.ravel()[position])


def _ring_means(power: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Return the mean power of each ring, from the median of exponentially distributed powers."""
    order = np.argsort(ring, kind="stable")
    numbers, starts = np.unique(ring[order], return_index=True)
    means = np.ones(ring.max() + 1)
    for number, part in zip(numbers, np.split(power[order], starts[1:]), strict=True):
        means[number] = np.median(part) / np.log(2)
    return means


def _tiles(shape: tuple[int, int], side: int) -> Iterator[tuple[slice, slice]]:
    """Yield the slices of tiles that cover the image and overlap by about half."""
    starts = []
    for length in shape:
        number = int(np.ceil((length - side) / (side / 2))) + 1
        starts.append(np.rint(np.linspace(0, length - side, number)).astype(int))
    for row in starts[0]:
        for column in starts[1]:
            yield slice(row, row + side), slice(column, column + side)
