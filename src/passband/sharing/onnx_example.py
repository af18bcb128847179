"""Python code that runs the ONNX file of a published network on an image, without Passband.

It prepares the image with the steps of :func:`passband.micrographs.images.segmentation.segment`, in
the same order, and needs numpy, scipy and onnxruntime.
"""

from passband.config.detector import DetectorNoise
from passband.learning.network_files import Network
from passband.sharing.onnx_export import INPUT

#: For each normalisation, the line that turns counts into the network's input.
_NORMALISED = {
    "zscore": "image = (image - image.mean()) / image.std(ddof=1)",
    "minmax": "image = (image - image.min()) / (image.max() - image.min())",
    "vacuum": "image = image / counts_of_a_vacuum_pixel - 1",
}

_HEAD = """\
import numpy as np, onnxruntime
from scipy import fft, ndimage

image = np.load("image.npy").astype(float)  # counts, shape (height, width)
pixel_A = {pixel:g}  # side of a pixel of the image [Å]
"""
_WHITE = """\
is_white = True  # the noise of a counting camera; False if counts were averaged or resampled later
"""
_VACUUM = """\
counts_of_a_vacuum_pixel = 100.0  # of a pixel of {pixel:g} Å
"""
_STEPS = """\

# 1. Hot and dead pixels: the median of the 7 × 7 pixels around them.
median, low, high = (ndimage.percentile_filter(image, p, 7, mode="mirror") for p in (50, 20, 80))
away = (image - ndimage.uniform_filter(image, 7, mode="mirror")) * 49 / 48
noise = np.clip(away, *np.quantile(away, (0.005, 0.995))).std()
noise = np.maximum(noise, (high - low) / 1.683)
limit = 6 * noise + 35 / 6 * np.clip(noise**2 / image.mean(), 0, 5 * noise)
image = np.where(abs(image - median) > limit, median, image)

# 2. Pixels of {pixel:g} Å by Fourier interpolation of the mirrored image. Counts are kept.
scale = {pixel:g} / pixel_A
series = fft.dctn(image) / image.size
series[0] /= 2
series[:, 0] /= 2
known = [np.arange(min(n, int(np.ceil(n / scale)))) for n in image.shape]
new = [(np.arange(round(n / scale)) + 0.5) * scale for n in image.shape]
along = [np.cos(np.pi / n * np.outer(x, k)) for n, x, k in zip(image.shape, new, known)]
series = series[: len(known[0]), : len(known[1])]
"""
_FILTER = """\
# 3. The filter of the counts of the training images, at the frequencies of the series [1/Å].
qy, qx = np.ix_(*(k / (2 * n * pixel_A) for n, k in zip(image.shape, known)))
if is_white:
    series = series * {factor}
"""
_REST = """\
image = scale**2 * along[0] @ series @ along[1].T

# {next}. The normalisation, over the whole image. A large image is cut into tiles after this step.
{normalised}

# {last}. Sides that are multiples of {divisor} pixels, by a mirror.
height, width = image.shape
more = [(0, max(-n % {divisor}, {smallest} - n)) for n in image.shape]
image = np.pad(image, more, mode="symmetric").astype(np.float32)
session = onnxruntime.InferenceSession("model.onnx")
(probability,) = session.run(None, {{"{input}": image[None, None]}})
mask = probability[0, 0, :height, :width] > 0.5  # pixels of {pixel:g} Å
"""


def code(network: Network) -> str:
    """Return the code for a network."""
    noise = network.microscope.detector.noise
    parts = [_HEAD]
    if not noise.is_white:
        parts.append(_WHITE)
    if network.normalisation == "vacuum":
        parts.append(_VACUUM)
    parts += [_STEPS, "" if noise.is_white else _FILTER, _REST]
    return "".join(parts).format(
        pixel=network.pixel_size_A,
        factor=_factor(noise),
        next=3 if noise.is_white else 4,
        last=4 if noise.is_white else 5,
        normalised=_NORMALISED[network.normalisation],
        divisor=network.divisor,
        smallest=network.smallest_px,
        input=INPUT,
    )


def _factor(noise: DetectorNoise) -> str:
    """Return the filter at `qy` and `qx` as an expression, see `passband.optics.noise_filter`."""
    width, names = f"{noise.width_A:g}", ("qy", "qx")
    if noise.form == "table":
        factors = [f"np.interp(np.hypot(qy, qx), *np.transpose({noise.table}))"]
    elif noise.form == "binned":
        factors = [f"np.sinc({width} * {q})" for q in names]
    elif noise.form == "hann":
        # A shift of 10⁻⁹ 1/Å avoids 0/0 where the width is a half of a period.
        x = [f"2 * {width} * ({q} + 1e-9)" for q in names]
        factors = [f"np.sinc({each}) / (1 - ({each}) ** 2)" for each in x]
    else:
        factors = []
    if noise.stored_pixel_A:
        factors += [f"({q} <= {0.5 / noise.stored_pixel_A:.9g})" for q in names]
    return "(\n        {}\n    )".format("\n        * ".join(factors))
