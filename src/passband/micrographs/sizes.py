"""The distribution of the particles' sizes over the images of a run.

A particle that the edge of an image cuts has no known size and is left out. Large particles are cut
more often: with its centre anywhere, a particle of diameter d is whole in a part (W − d)(H − d) of
a field of width W and height H. So leaving the cut ones out makes sizes too small, and each whole
particle counts by the inverse of this area (Miles 1974, Lantuéjoul 1978; the minus-sampling
estimator of stereology).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

import numpy as np

from passband.micrographs.summary import Frame
from passband.words import number_of

#: The band and the interval have this probability, and come from so many resamplings.
PROBABILITY = 0.9
DRAWS = 1000
#: Fewer images have neither: they do not show how images differ.
LEAST_IMAGES = 5
#: The largest number of bins of the histogram.
MOST_BINS = 40
#: A field is at least this part wider than any particle: long particles of a thin image may be as
#: wide as the image is high.
_LEAST_ROOM = 0.01


@dataclass(frozen=True)
class Sizes:
    """A weighted histogram of diameters.

    Attributes:
        edges: (bins + 1,), the edges of the bins [nm].
        shares: (bins,), the share of the particles in each bin.
        band: (2, bins), the limits of each share if other images of the specimen had been taken.
            None with fewer than five images.
        plain_nm, plain_sd_nm: Mean and standard deviation of the whole particles, as in the other
            tables [nm]. The latter is None for one particle.
        mean_nm: The weighted mean [nm].
        mean_band_nm: Its interval, as `band` [nm].
        particles, images: Numbers of whole particles, and of images, also of those without
            particles.
        cut: Number of particles that are left out, since they touch the edge.
        flagged: Number of images that are left out, since they are unlike the training images.
        uncertain: Number of particles that are left out, since a head is not certain of them.
    """

    edges: np.ndarray
    shares: np.ndarray
    band: np.ndarray | None
    plain_nm: float
    plain_sd_nm: float | None
    mean_nm: float
    mean_band_nm: tuple[float, float] | None
    particles: int
    images: int
    cut: int = 0
    flagged: int = 0
    uncertain: int = 0

    @property
    def values(self) -> str:
        """Mean and standard deviation in words, and the weighted mean."""
        plain = f"mean {self.plain_nm:.2f} nm"
        weighted = f"weighted {self.mean_nm:.2f} nm"
        if self.mean_band_nm is not None:
            low, high = self.mean_band_nm
            weighted += f" ({low:.2f} to {high:.2f})"
        if self.plain_sd_nm is not None:
            plain += f", SD {self.plain_sd_nm:.2f} nm"
        return f"{plain}; {weighted}"

    @property
    def numbers(self) -> str:
        """Of how many particles and images it is, in words."""
        used = f"{number_of(self.particles, 'whole particle')} in {number_of(self.images, 'image')}"
        left = [f"{number_of(self.cut, 'particle')} at edges"] * bool(self.cut)
        left += [number_of(self.uncertain, "uncertain particle")] * bool(self.uncertain)
        left += [number_of(self.flagged, "flagged image")] * bool(self.flagged)
        return f"{used}; left out: {', '.join(left)}" if left else used


def of_frames(frames: Sequence[Frame]) -> Sizes | None:
    """Return the sizes in all images that are not flagged; None without a whole particle."""
    images = [frame for frame in frames if not frame.error]
    used = [frame for frame in images if not frame.flags]
    if not any(frame.whole for frame in used):
        return None
    return measure(
        [frame.whole for frame in used],
        [frame.field_nm for frame in used],
        cut=sum(each.touches_edge and each.counts for frame in used for each in frame.particles),
        uncertain=sum(frame.uncertain for frame in used),
        flagged=len(images) - len(used),
    )


def measure(
    diameters: Sequence[Sequence[float]],
    fields: Sequence[tuple[float, float]],
    cut: int = 0,
    flagged: int = 0,
    uncertain: int = 0,
) -> Sizes:
    """Return the distribution of sizes.

    In images of several fields, a particle counts by the inverse of the sum of (W − d)(H − d) over
    all images: the area in which it would have been whole.

    Args:
        diameters: Those of the whole particles of each image, at least one in all [nm].
        fields: Height and width of each image [nm].
        cut, flagged, uncertain: See :class:`Sizes`.
    """
    values = np.concatenate([np.asarray(each, float) for each in diameters])
    image = np.repeat(np.arange(len(fields)), [len(each) for each in diameters])
    distinct, kind = np.unique(np.asarray(fields, float), axis=0, return_inverse=True)
    kind = kind.ravel()
    # (distinct fields, particles), the area in which each particle would be whole.
    sides = distinct[:, :, None]
    areas = np.maximum(sides - values, _LEAST_ROOM * sides).prod(axis=1)
    edges = bins(values)
    place = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)

    def counted(times: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, float]:
        """Return shares and mean if images and particles are there so many times."""
        weights = drawn / (np.bincount(kind, times, len(distinct)) @ areas)
        weights /= weights.sum()
        return np.bincount(place, weights, len(edges) - 1), weights @ values

    shares, mean = counted(np.ones(len(fields)), np.ones(len(values)))
    number = len(values)
    band = mean_band = None
    if len(fields) >= LEAST_IMAGES:
        band, mean_band = _bands(counted, image, len(fields))
    return Sizes(
        edges=edges,
        shares=shares,
        band=band,
        plain_nm=float(values.mean()),
        plain_sd_nm=float(values.std(ddof=1)) if number > 1 else None,
        mean_nm=float(mean),
        mean_band_nm=mean_band,
        particles=number,
        images=len(fields),
        cut=cut,
        flagged=flagged,
        uncertain=uncertain,
    )


def _bands(counted, image: np.ndarray, number: int) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the band of the shares and the interval of the mean, by resampling.

    Images are drawn, and then particles in each: those of one image are alike, and an image has but
    a few of those that are around it.
    """
    rng = np.random.default_rng(0)
    sizes = np.bincount(image, minlength=number)
    first = np.cumsum(sizes) - sizes
    drawn = []
    while len(drawn) < DRAWS:
        images = rng.integers(0, number, number)
        of = np.repeat(images, sizes[images])
        if not len(of):  # no image with a particle was drawn
            continue
        particles = first[of] + (rng.random(len(of)) * sizes[of]).astype(int)
        times = np.bincount(images, minlength=number).astype(float)
        drawn.append(counted(times, np.bincount(particles, minlength=len(image))))
    tails = (1 - PROBABILITY) / 2, (1 + PROBABILITY) / 2
    low, high = np.quantile([mean for _, mean in drawn], tails)
    return np.quantile([shares for shares, _ in drawn], tails, axis=0), (float(low), float(high))


def bins(values: np.ndarray) -> np.ndarray:
    """Return the edges of a histogram's bins, which are multiples of 1, 2 or 5 times a power of 10.

    Bins are about as wide as by the rule of Freedman and Diaconis; a few values have five bins.
    """
    low = values.min()
    high = values.max()
    quartiles = np.quantile(values, (0.25, 0.75))
    width = 2 * np.ptp(quartiles) / len(values) ** (1 / 3)
    width = min(width, (high - low) / 5)
    width = max(width, (high - low) / (MOST_BINS / 2), high / 100)
    power = 10.0 ** floor(log10(width))
    step = power * min((1, 2, 5, 10), key=lambda each: abs(log10(each * power / width)))
    first = floor(low / step)
    return step * np.arange(first, max(floor(high / step), first) + 2)
