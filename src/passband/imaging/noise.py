"""Electron counts: seeds of the noise, the Poisson draw, its filter, and normalisation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch

from passband.grid import Condition
from passband.imaging import poisson
from passband.imaging.compiled import compiled
from passband.imaging.structures import Structures
from passband.imaging.threads import share_images
from passband.parts import Part, PartError
from passband.seeds import seed


def noise_seeds(
    structures: Structures,
    indices: Iterable[int],
    condition: Condition,
    draw: int = 0,
    replica: int | None = None,
) -> list[int]:
    """Return the seeds of the noise, one for each image, see :func:`passband.seeds.seed`.

    Args:
        indices: Index of each image's structure within the split.
        replica: The replica that is trained on the images. The default gives the seeds of
            validation and test images, which all networks share.
    """
    # The id is made once, since making it takes longer than making a seed.
    names = structures.names
    id = condition.id
    owner = () if replica is None else ("replica", replica)
    return [seed(*names, int(i), id, "noise", *owner, draw) for i in indices]


def expose(intensity: torch.Tensor, electrons: float, seeds: Sequence[int]) -> torch.Tensor:
    """Return electron counts drawn from the Poisson distribution.

    Every image has its own random generator. So the noise of an image depends only on its seed and
    its intensity, not on its batch or on earlier draws. On a CPU, counts are drawn by
    :mod:`passband.imaging.poisson`. On a GPU, counts are drawn by torch's generator: they are other
    counts from the same distribution.

    Args:
        intensity: (N, px, px), noise-free images; the intensity of vacuum is 1.
        electrons: Mean count of a vacuum pixel: dose × pixel area.
        seeds: A seed for each image, from 0 to 2**63 − 1.

    Returns:
        (N, px, px), counts: whole numbers, in the dtype of `intensity`. float32 rounds counts above
        2**24.

    Raises:
        ValueError: If the numbers of seeds and images differ. On a CPU, also if a mean count is
            negative or NaN.
    """
    if len(seeds) != len(intensity):
        raise ValueError(f"{len(seeds)} seeds for {len(intensity)} images")
    if intensity.device.type != "cpu":
        counts = intensity * electrons
        for image, seed in zip(counts, seeds, strict=True):
            random = torch.Generator(device=image.device).manual_seed(seed)
            image.copy_(torch.poisson(image, generator=random))
        return counts
    images = intensity.contiguous().numpy()
    counts = np.empty_like(images)

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            poisson.draw(images[number], electrons, seeds[number], counts[number])

    share_images(work, range(len(images)), images.size)
    return torch.from_numpy(counts)


def drawn(
    part: Part, intensity: torch.Tensor, electrons: float, seeds: Sequence[int]
) -> torch.Tensor:
    """Return counts that a noise model draws, see :class:`passband.parts.noise`.

    The other arguments and the result are those of :func:`expose`, but counts may be any numbers.

    Raises:
        PartError: If the part must not run, fails, or returns something else.
    """
    function = _function(part)
    if part.declaration.batches:
        counts = part.call(function, intensity, electrons, seeds)
        if not isinstance(counts, torch.Tensor) or counts.shape != intensity.shape:
            found = getattr(counts, "shape", type(counts).__name__)
            raise PartError(f"{part}: returns {found}; must return a tensor {intensity.shape}")
        return counts
    counts = torch.empty_like(intensity)
    expected = (intensity * electrons).cpu().numpy()
    for place, (image, number) in enumerate(zip(expected, seeds, strict=True)):
        found = np.asarray(part.call(function, image, np.random.default_rng(number)))
        if found.shape != image.shape or found.dtype.kind not in "buif":
            raise PartError(
                f"{part}: returns an array {found.shape} of {found.dtype}; must return numbers, "
                f"{image.shape}"
            )
        if not np.isfinite(found).all():
            raise PartError(f"{part}: returns counts that are not finite")
        counts[place] = torch.from_numpy(found.astype(image.dtype))
    return counts


# Loading a part of a study reads its files.
@lru_cache(maxsize=8)
def _function(part: Part) -> Callable[..., object]:
    return part.load()


def filtered(counts: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Return counts whose spectra are multiplied by a real factor.

    Args:
        counts: (N, px, px), counts as they were drawn. The field is periodic.
        factor: (px, px//2 + 1), the factor, in ``rfft2``'s layout; see
            :mod:`passband.optics.noise_filter`.

    Returns:
        (N, px, px): filtered counts. They are not integers. Near the limit of a band they may be
        negative.
    """
    side = counts.shape[-2:]
    if counts.device.type != "cpu":
        return torch.fft.irfft2(torch.fft.rfft2(counts) * factor, s=side)
    # One image at a time, so that the bits of an image do not depend on its batch.
    result = torch.empty_like(counts)
    for number, image in enumerate(counts):
        result[number] = torch.fft.irfft2(torch.fft.rfft2(image) * factor, s=side)
    return result


def normalise(counts: torch.Tensor, name: str, electrons: float) -> torch.Tensor:
    """Return the input of a network for electron counts.

    Args:
        counts: (N, px, px).
        name: ``zscore`` gives each image mean 0 and variance 1. ``minmax`` scales each image to the
            range 0 to 1. ``vacuum`` is counts / `electrons` − 1.
        electrons: Mean count of a vacuum pixel.

    Raises:
        ValueError: If the name of the normalisation is unknown.
    """
    if name == "zscore":
        if counts.device.type == "cpu" and counts.dtype == torch.float32:
            counts = counts.contiguous()
            result = torch.empty_like(counts)
            arrays = (x.flatten(1).numpy() for x in (counts, result))
            compiled(_zscore, "(f4[:,::1], f4[:,::1])")(*arrays)
            return result
        std, mean = torch.std_mean(counts, dim=(-2, -1), keepdim=True)
        return (counts - mean) / std.clamp_min(1e-12)
    if name == "minmax":
        low, high = counts.amin((-2, -1), True), counts.amax((-2, -1), True)
        return (counts - low) / (high - low).clamp_min(1e-12)
    if name == "vacuum":
        return counts / electrons - 1
    raise ValueError(f"normalisation {name!r}: must be zscore, minmax or vacuum")


def _zscore(counts, out):
    """Give each image mean 0 and variance 1, with the same bits as torch's functions.

    Mean and variance are updated pixel by pixel in float64 (B. P. Welford, *Technometrics* 4, 419,
    1962), as in torch. Eight images are computed at a time, since each step waits for the last one.
    """
    images, pixels = counts.shape
    means, squares, block = np.zeros(8), np.zeros(8), np.zeros((32, 8))
    for first in range(0, images, 8):
        number = min(8, images - first)
        means[:] = 0
        squares[:] = 0
        for start in range(0, pixels, 32):
            length = min(32, pixels - start)
            for k in range(number):
                for j in range(length):
                    block[j, k] = counts[first + k, start + j]
            for j in range(length):
                so_far = start + j + 1.0
                for k in range(8):
                    above = block[j, k] - means[k]
                    mean = means[k] + above / so_far
                    means[k] = mean
                    squares[k] += above * (block[j, k] - mean)
        for k in range(number):
            mean, variance = np.float32(means[k]), squares[k] / (pixels - 1)
            deviation = max(np.float32(np.sqrt(variance)), np.float32(1e-12))
            for j in range(pixels):
                out[first + k, j] = (counts[first + k, j] - mean) / deviation
