"""Prepare a micrograph: hot pixels, pixel size, noise, local normalisation.

All functions get and return one image: a float32 array (height, width), in counts or in any other
unit. Large images are worked on in bands, so that the memory in use stays a few times the image.
"""

from collections.abc import Iterator

import numpy as np

from passband.config.detector import DetectorNoise
from passband.optics import noise_filter

#: A pixel is hot or dead if it differs from the median of its surroundings by more than this many
#: standard deviations of the noise.
HOT_SIGMA = 6.0
#: Side of the square of surroundings [pixels].
_SIDE = 7


def remove_hot_pixels(image: np.ndarray) -> np.ndarray:
    """Return a copy of an image, with the median of the surroundings in hot and dead pixels.

    The surroundings are the 48 other pixels of a square of 7 × 7, mirrored at the edges of the
    image. A pixel x is replaced if |x − median| > 6 · s + (6² − 1)/6 · g:

    - s is the larger of two standard deviations. One belongs to the whole image: the standard
      deviation of x − mean of the surroundings, without its 0.5% largest and smallest values. The
      other belongs to the surroundings: the distance of their percentiles 20 and 80, divided by
      1.68. So lattice fringes, which fill the surroundings, are not replaced. Spots of up to 3 × 3
      pixels, as from X-rays, are replaced.
    - g = min(s²/mean of the image, 5 s) is the count of one electron if the noise is Poisson. This
      term of the expansion by Cornish and Fisher raises the threshold where few electrons fall on
      a pixel, since the distribution of their counts is skewed.

    An image with negative values is not in counts. The threshold is then (6 + 2) · s.

    Pure Poisson noise of 0.05 to 1000 electrons a pixel stays as it is: fewer than 1 in 10⁴ pixels
    change.
    """
    image = np.asarray(image, np.float32)
    mean = float(image.mean(dtype=np.float64))
    spread = _noise(image, mean)
    counts = float(image.min()) >= 0 and mean > 0
    result = image.copy()
    half, number = _SIDE // 2, _SIDE**2 - 1
    offsets = np.array(
        [(i, j) for i in range(_SIDE) for j in range(_SIDE) if (i, j) != (half, half)]
    )
    for band in bands(image.shape):
        padded = _padded(image, band, half)
        # A spot of 3 × 3 hot pixels raises the mean of the surroundings of its centre by 8/48, so
        # the median, which takes longer, is computed only where this difference is large.
        away = np.abs(_from_surroundings(padded, mean))
        candidates = np.argwhere(away > 0.75 * HOT_SIGMA * spread)
        for start in range(0, len(candidates), 2**16):
            rows, columns = candidates[start : start + 2**16].T
            around = padded[rows[:, None] + offsets[:, 0], columns[:, None] + offsets[:, 1]]
            around.sort(axis=1)
            median = (around[:, number // 2 - 1] + around[:, number // 2]) / 2
            local = (around[:, number * 4 // 5] - around[:, number // 5]) / np.float32(1.683)
            s = np.maximum(local, spread)
            if counts:
                threshold = HOT_SIGMA * s + (HOT_SIGMA**2 - 1) / 6 * np.minimum(s**2 / mean, 5 * s)
            else:
                threshold = (HOT_SIGMA + 2) * s
            values = image[band][rows, columns]
            hot = np.abs(values - median) > threshold
            result[band][rows[hot], columns[hot]] = median[hot]
    return result


def _noise(image: np.ndarray, mean: float) -> float:
    """Return the standard deviation of pixels from the mean of their surroundings.

    The 0.5% largest and smallest differences are cut off. Large images are sampled in bands.
    """
    rows = image.shape[0]
    if image.size <= 2**22:
        bands = [slice(0, rows)]
    else:
        height = max(_SIDE, 2**18 // image.shape[1])
        bands = [slice(s, s + height) for s in np.linspace(0, rows - height, 16, dtype=int)]
    differences = np.concatenate(
        [_from_surroundings(_padded(image, band, _SIDE // 2), mean).ravel() for band in bands]
    )
    low, high = np.quantile(differences, (0.005, 0.995))
    return float(np.clip(differences, low, high).std(dtype=np.float64))


def _from_surroundings(padded: np.ndarray, mean: float) -> np.ndarray:
    """Return each pixel's difference from the mean of its surroundings; the padding is cut off."""
    from scipy import ndimage

    half, side = _SIDE // 2, _SIDE**2
    # Without the image's mean, float32 is precise for large counts.
    deviation = padded - np.float32(mean)
    box = ndimage.uniform_filter(deviation, _SIDE)
    difference = (deviation - box)[half:-half, half:-half]
    return difference * np.float32(side / (side - 1))


def _padded(image: np.ndarray, band: slice, margin: int) -> np.ndarray:
    """Return a band of rows with a margin on all sides, mirrored at the edges of the image."""
    rows, columns = (np.pad(np.arange(side), margin, "reflect") for side in image.shape)
    return image[rows[band.start : band.stop + 2 * margin]][:, columns]


def bands(shape: tuple[int, int]) -> Iterator[slice]:
    """Yield slices of rows, of about 2²² pixels each."""
    rows = max(1, 2**22 // shape[1])
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def resample(image: np.ndarray, pixel_from: float, pixel_to: float) -> np.ndarray:
    """Return an image with another pixel size, by Fourier interpolation. Counts are kept.

    The image is interpolated by its Fourier series, without the frequencies above the Nyquist
    frequency of the new pixels. The values are then multiplied by the ratio of the pixels' areas:
    a pixel twice as long has four times the counts. If the noise is white, its variance is
    multiplied by the same ratio where pixels become larger, so Poisson noise keeps a variance equal
    to its mean. Where pixels become smaller, neighbouring pixels share their noise.

    The edges of the image's first pixel and of the new image's first pixel are the same. Before the
    transform, the image is extended by its mirror image. The extension leads smoothly from one edge
    to the opposite edge, so that the edges do not ring. The length of the extension is chosen so
    that the new pixel size is right within 10⁻⁴.

    Args:
        pixel_from, pixel_to: Pixel size of the image, and of the result, in the same unit.

    Returns:
        (height, width) float32: the result. Its sides are the image's sides × `pixel_from` /
        `pixel_to`, rounded to whole pixels. If the two pixel sizes are equal within 10⁻⁶, a copy of
        the image.

    Raises:
        ValueError: If a pixel size is not a positive number.
    """
    if not (0 < pixel_from < np.inf and 0 < pixel_to < np.inf):
        raise ValueError(f"pixel sizes {pixel_from:g} and {pixel_to:g}: must be positive")
    image = np.asarray(image, np.float32)
    scale = pixel_to / pixel_from
    if abs(scale - 1) <= 1e-6:
        return image.copy()
    # One axis at a time: large images never need a transform of the whole image.
    height, width = (max(1, round(side / scale)) for side in image.shape)
    mean = np.float32(image.mean(dtype=np.float64))
    narrow = np.empty((image.shape[0], width), np.float32)
    _resample_rows(image, scale, mean, narrow)
    result = np.empty((height, width), np.float32)
    _resample_rows(narrow.T, scale, np.float32(0), result.T)
    result += mean
    result *= np.float32(scale**2)
    return result


def _resample_rows(image: np.ndarray, scale: float, offset: np.float32, out: np.ndarray) -> None:
    """Write the rows of `image` − `offset` at every `scale` pixels to `out`."""
    from scipy import fft

    length = image.shape[1]
    extended, extended_new = _periods(length, scale)
    gap = extended - length
    # From the row's end to its begin, the extension goes over from one mirror image to the other.
    weight = (0.5 + 0.5 * np.cos(np.pi * (np.arange(gap) + 0.5) / gap)).astype(np.float32)
    mirrored = np.pad(np.arange(length), gap, "symmetric")
    before = mirrored[:gap]
    after = mirrored[-gap:]
    factor = _spectral_factor(scale, extended, extended_new)
    for band in bands((image.shape[0], extended + extended_new)):
        rows = image[band] - offset
        extension = rows[:, after] * weight + rows[:, before] * (1 - weight)
        spectrum = fft.rfft(np.concatenate((rows, extension), axis=1), axis=1)
        kept = spectrum[:, : len(factor)] * factor
        out[band] = fft.irfft(kept, extended_new, axis=1)[:, : out.shape[1]]


def _spectral_factor(scale: float, extended: int, extended_new: int) -> np.ndarray:
    """Return the factor of each Fourier coefficient that both the row and the new row have."""
    size = min(extended, extended_new) // 2 + 1
    # Centres of pixels: (j + ½) · scale = x + ½.
    frequency = np.arange(size) / extended
    factor = np.exp(2j * np.pi * frequency * (scale - 1) / 2) * (extended_new / extended)
    if extended_new < extended and extended_new % 2 == 0:
        factor[-1] = 0  # the Nyquist frequency of the new pixels has no phase
    if extended_new > extended and extended % 2 == 0:
        factor[-1] /= 2  # it was counted once, and is now one of two conjugate frequencies
    return factor.astype(np.complex64)


def _periods(length: int, scale: float) -> tuple[int, int]:
    """Return a number of pixels above `length`, and the nearest number of new pixels.

    The extension has at least 32 old pixels and 16 new pixels. Among the possible lengths, the best
    one has the most nearly whole number of new pixels.
    """
    from scipy import fft

    smallest = length + max(32, int(np.ceil(16 * scale)), length // 16)
    lengths = np.arange(smallest, smallest + max(256, int(64 * scale)))
    exact = lengths / scale
    error = np.abs(exact - np.rint(exact)) / exact
    fine = lengths[error <= max(2 * error.min(), 1e-5)]
    # Transforms are fast if the length has small prime factors only.
    quick = [n for n in fine.tolist() if fft.next_fast_len(n, real=True) == n]
    best = quick[0] if quick else int(lengths[error.argmin()])
    return best, int(np.rint(best / scale))


def filter_noise(image: np.ndarray, pixel_A: float, noise: DetectorNoise) -> np.ndarray:
    """Return an image filtered as the counts of training images were.

    The noise of the result has the spectrum of the training images if the noise of `image` is
    white. The image is extended by its mirror image before the transform.

    Args:
        pixel_A: Side of its pixels [Å].
        noise: The filter, `microscope.detector.noise` of the training.

    Returns:
        (height, width) float32: the filtered image, with about the mean of the input.
    """
    from scipy import fft

    margin = max(16, int(np.ceil(4 * noise.pixel_A / pixel_A)))
    sides = [fft.next_fast_len(n + 2 * margin, real=True) for n in image.shape]
    margins = [(margin, side - margin - n) for side, n in zip(sides, image.shape, strict=True)]
    factor = noise_filter.on_grid(tuple(sides), pixel_A, *noise.arguments).astype(np.float32)
    spectrum = fft.rfft2(np.pad(np.asarray(image, np.float32), margins, "symmetric"))
    spectrum *= factor
    result = fft.irfft2(spectrum, s=sides)
    return result[margin : margin + image.shape[0], margin : margin + image.shape[1]].copy()


def to_grid(values: np.ndarray, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Return values on the pixels of the image, by linear interpolation.

    Args:
        values: (rows, columns) float32, values on the pixels of a network.
        scale: The network's pixel size divided by the image's pixel size. The first pixels of both
            begin at the same edge, as in :func:`resample`.
    """
    if values.shape == shape and abs(scale - 1) <= 1e-6:
        return values
    (top, down), (left, right) = (
        _neighbours(n, number, scale) for n, number in zip(shape, values.shape, strict=True)
    )
    result = np.empty(shape, np.float32)
    for band in bands((shape[0], max(shape[1], values.shape[1]))):
        weight = down[band, None]
        part = values[top[band]] * (1 - weight)
        part += values[np.minimum(top[band] + 1, len(values) - 1)] * weight
        last = np.minimum(left + 1, values.shape[1] - 1)
        result[band] = part[:, left] * (1 - right) + part[:, last] * right
    return result


def _neighbours(length: int, number: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each pixel of the image, the pixel before it and the weight of the next pixel."""
    place = np.clip((np.arange(length) + 0.5) / scale - 0.5, 0, number - 1)
    before = np.floor(place).astype(np.int64)
    return before, (place - before).astype(np.float32)
