"""Whether the noise of an image is white, or was averaged, and the filter that follows from it.

The noise of counts is white. The noise of counts that were averaged or drawn on other pixels falls
towards high frequencies. Beyond the fringes of the specimen, noise is all that an image has.
"""

import numpy as np

from passband.config.detector import DetectorNoise
from passband.config.drawn import lowest
from passband.micrographs.images import preparation

#: The noise is measured in images with smaller pixels than this [Å]. Larger pixels show no
#: frequencies beyond the fringes.
MEASURED_BELOW_A = 0.7
#: An image with larger pixels counts as averaged if its pixels have at least so many times the side
#: of the pixels over which the counts of the training images were averaged.
AVERAGED = 0.9
#: Noise whose power has a larger slope than this is white [decades a cycle per pixel]. In 16 real
#: images that were drawn, the slope was −6.1 to −3.6, and in 96 simulated images with white noise
#: −2.7 to +0.3.
WHITE_ABOVE = -3.0
#: Fringes end at this frequency [1/Å].
_FRINGES = 0.68
#: The first ring begins between the first two, and the second ring between the last two; both are
#: so wide [cycles a pixel].
_FIRST, _SECOND, _WIDTH = (0.20, 0.36), 0.44, 0.05
#: Below this fraction of the power between the fringes, the power in the first ring is no noise of
#: counts: it is left by an enlargement, by JPEG, or by rounding to 8 bits.
_LEAST = 0.1
#: Finer pixels than this are measured a second time, after the image is reduced [Å]: an enlarged
#: image has no noise beyond its first pixels, and its noise can be white in all that networks see.
_REDUCED_A = 0.5
#: The largest side of the middle of the image, which is measured, and the fewest frequencies of a
#: ring.
_MOST_PX, _FEWEST = 1024, 32
#: An image was enlarged by repeating pixels if at least this part of the steps between rows, and of
#: those between columns, has less than this part of the usual difference. In five real patches that
#: were enlarged twice, with JPEG 75, the part is 0.27 or less, and without repetition 0.41 or more.
_REPEATED_PART = 0.1
_REPEATED_RATIO = 0.33
#: Half-widths of kernels that are tried for averaged noise [Å], and the side of the images of noise
#: with which they are [pixels].
_WIDTHS_A = tuple(step / 20 for step in range(8, 33))
_TRIED_PX = 256
#: So far from the kernel that was found, simulated images have kernels too [Å].
_UNSURE_A = 0.15
#: Why the masks of such images cannot be trusted.
REPEATED = "its repeated pixels"
BLANK = "its blank pixels"
_FILTERED = "noise filtered as in the training"


def is_repeated(image: np.ndarray) -> bool:
    """Return whether an image was enlarged by repeating its pixels, also if it is JPEG by now.

    In such an image, many rows are (nearly) the row before. Noise makes all rows of other images
    differ by about the same amount.
    """
    for lines in (image, image.T):
        steps = np.abs(np.diff(lines, axis=0)).mean(1, dtype=np.float64)
        usual = np.quantile(steps, 0.9)
        if (steps < _REPEATED_RATIO * usual).mean() < _REPEATED_PART:
            return False
    return True


def is_blank(image: np.ndarray) -> bool:
    """Return whether most pixels have one value, such as those of an image that was not exposed."""
    usual = np.median(image)
    return bool(np.mean(image == usual) > 0.5)


def slope(image: np.ndarray, pixel_size_A: float) -> float | None:
    """Return the slope of the logarithm of the noise's power [decades a cycle per pixel].

    Hot pixels are left out. If the image's pixels are finer than 0.5 Å, the slope is that of the
    image, or of the image reduced to 0.5 Å, whichever is flatter.

    Args:
        image: (height, width), the image as it was stored.
        pixel_size_A: Side of its pixels [Å].

    Returns:
        The slope. It is at most −3 if there is almost nothing beyond the fringes, and −∞ if there
        is nothing. None if the pixels are too large, or the image is too small.
    """
    if pixel_size_A >= MEASURED_BELOW_A:
        return None
    middle = (slice((n - m) // 2, (n + m) // 2) for n in image.shape for m in (min(n, _MOST_PX),))
    part = preparation.remove_hot_pixels(image[tuple(middle)])
    found = [_slope(part, pixel_size_A)]
    if pixel_size_A < _REDUCED_A:
        found.append(_slope(preparation.resample(part, pixel_size_A, _REDUCED_A), _REDUCED_A))
    return max((each for each in found if each is not None), default=None)


def _slope(image: np.ndarray, pixel_size_A: float) -> float | None:
    """Return the slope between the medians of the power in two rings."""
    from scipy import fft

    first = float(np.clip(_FRINGES * pixel_size_A, *_FIRST))
    taper = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    values = image - np.average(image, weights=taper)
    power = np.abs(fft.rfft2((values * taper).astype(np.float32))) ** 2
    q = np.hypot(fft.fftfreq(image.shape[0])[:, None], fft.rfftfreq(image.shape[1]))
    bounds = (first / 2, first), (first, first + _WIDTH), (_SECOND, _SECOND + _WIDTH)
    rings = [power[(low <= q) & (q <= high)] for low, high in bounds]
    if min(map(len, rings)) < _FEWEST:
        return None
    before, near, far = map(np.median, rings)
    found = -np.inf
    if near > 0:
        found = float(np.log10(max(far, 1e-12 * near) / near) / (_SECOND - first))
    return found if near > _LEAST * before else min(found, WHITE_ABOVE)


def treatment(
    noise: DetectorNoise, pixel_size_A: float, slope: float | None, asked: bool | None = None
) -> tuple[DetectorNoise | None, str]:
    """Return the filter that gives an image the noise and the band of training images, and why.

    White noise is filtered as the counts of the training were. An averaged image keeps its noise;
    only frequencies beyond those of the pixels with which training images were stored are cut off.
    An image with finer pixels has noise there that no training image has. If training images had
    kernels of a range, the filter has the middle one. If some had white noise, none is needed.

    Args:
        noise: `microscope.detector.noise` of the training.
        pixel_size_A: Side of the image's pixels [Å].
        slope: See :func:`slope`.
        asked: Whether the user wants the image filtered as the training's counts; with False, it is
            left as it is.

    Returns:
        The filter, or None, and a line for the user. The line is empty if the training's noise is
        white.
    """
    if noise.is_white:
        return None, ""
    if asked is not None:
        return (noise.middle, _FILTERED) if asked else (None, "noise not filtered")
    if not noise.needs_filter:
        line = "noise not filtered: training images have white noise too"
    else:
        if slope is None:
            is_white = pixel_size_A < AVERAGED * noise.pixel_A
            why = f"pixels of {pixel_size_A:g} Å"
        else:
            is_white = slope > WHITE_ABOVE
            why = f"slope {slope:.1f}"
        if is_white:
            return noise.middle, f"{_FILTERED}: the image's noise counts as white ({why})"
        line = f"noise not filtered: the image counts as averaged ({why})"
    stored_A = lowest(noise.stored_pixel_A)
    if pixel_size_A >= stored_A:
        return None, line
    limit = 0.5 / stored_A
    return (
        DetectorNoise(stored_pixel_A=stored_A),
        f"{line}; cut off at {limit:.3g} 1/Å, where the training images end",
    )


def of_camera(
    image: np.ndarray, pixel_size_A: float, *, usual: DetectorNoise, network_pixel_A: float
) -> tuple[DetectorNoise, str]:
    """Return the noise with which images like an image are simulated, and why.

    White noise stays white. For averaged noise, kernels are about as wide as the Hann kernel whose
    noise has the slope of the image's. If the slope cannot be measured, it is the usual noise. The
    image's pixels limit the frequencies if they are larger than those of the simulation.

    Args:
        image: (height, width), the image as it was stored.
        pixel_size_A: Side of its pixels [Å].
        usual: The noise of similar training images.
        network_pixel_A: Side of the pixels of the simulation [Å].
    """
    stored = {"stored_pixel_A": pixel_size_A if pixel_size_A > 1.01 * network_pixel_A else 0.0}
    found = slope(image, pixel_size_A)
    if found is None:
        why = f"cannot be measured with pixels of {pixel_size_A:.4g} Å, and stays as it was"
        return usual.model_copy(update=stored), f"its noise {why}"
    if found > WHITE_ABOVE:
        return DetectorNoise(**stored), f"its noise is white (slope {found:.1f})"
    width = _kernel_A(found, pixel_size_A)
    low, high = (round(width + sign * _UNSURE_A, 2) for sign in (-1, 1))
    return (
        DetectorNoise(form="hann", width_A=[low, high], **stored),
        f"its noise was averaged (slope {found:.1f}), as by Hann kernels of {low:g} to {high:g} Å",
    )


def _kernel_A(wanted: float, pixel_size_A: float) -> float:
    """Return the half-width of the Hann kernel whose noise has a slope [Å].

    The slope falls with the width up to the width whose transform is 0 in a ring. A steeper slope
    than that has this width.
    """
    white = np.random.default_rng(0).normal(size=(_TRIED_PX, _TRIED_PX)).astype(np.float32)
    slopes: list[float] = []
    for width in _WIDTHS_A:
        kernel = DetectorNoise(form="hann", width_A=width)
        found = slope(preparation.filter_noise(white, pixel_size_A, kernel), pixel_size_A)
        if found is None or (slopes and found > slopes[-1]):
            break
        slopes.append(found)
        if found < wanted:
            break
    nearest = int(np.argmin([abs(found - max(wanted, slopes[-1])) for found in slopes]))
    return _WIDTHS_A[nearest]
