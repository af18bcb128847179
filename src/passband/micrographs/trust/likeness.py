"""How unlike an image is to the images that a network was trained on.

An image is cut into windows as large as a training image. Each window has three descriptions: its
radial power spectrum, the distribution of its pixel values, and the mean of each feature of the
network. For each description, the training images are described by a normal distribution. The
distance of a window is its Mahalanobis distance from this distribution, divided by the root of the
number of values, so that training images have distances of about 1.

The three distances need neither a ground truth nor the imaging condition. All functions in this
module are pure: :mod:`passband.answers.likeness` reads the training images of a study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from passband.micrographs.images.tiles import window
from passband.micrographs.models.model import Model
from passband.prediction.json_values import JsonValues, Rounded, require

#: The descriptions of a window, each with what is said if its distance is too large.
DESCRIPTIONS = {
    "spectrum": "its spectrum",
    "values": "the distribution of its values",
    "features": "the network's features",
}
#: Largest number of rings of a radial power spectrum, from 0 to the Nyquist frequency.
RINGS = 24
#: Cumulative probabilities of the quantiles that describe the distribution of pixel values.
PROBABILITIES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.99, 0.999)
#: Differences that are always tolerated: standard deviations that are added to those of the
#: training images. For the spectrum [decades of power]; 0.05 is a change of the dose by 12%. For
#: the values, in standard deviations of the image. For the features, in the standard deviation of
#: each feature over the training images.
TOLERANCES = {"spectrum": 0.05, "values": 0.05, "features": 0.3}
#: Largest number of principal components that have their own variances.
COMPONENTS = 24
#: Largest number of windows of an image that are described.
MOST_WINDOWS = 36
#: The distance of an image is this quantile of the distances of its windows. A wide image may have
#: windows without particles. It is unlike the training images only if most of its windows are.
QUANTILE = 0.25
#: Number of parts of the training structures. Each part is left out once, to measure distances of
#: images that the normal distribution does not know.
FOLDS = 5


def windows(image: np.ndarray, side: int) -> np.ndarray:
    """Return square windows (n, side, side) of an image, at regular distances.

    There are at most :data:`MOST_WINDOWS`, and fewer if they would overlap by more than half.

    Args:
        image: (height, width) float32, the image, with the pixels of the network.
        side: Side of a window, which is the side of a training image [pixels]. An image that is
            smaller is continued by its mirror image.
    """
    counts = [max(1, round(n / side)) for n in image.shape]
    while counts[0] * counts[1] > MOST_WINDOWS:
        counts[int(np.argmax(counts))] -= 1
    rows, columns = (
        np.linspace(0, max(0, n - side), count).astype(int)
        for n, count in zip(image.shape, counts, strict=True)
    )
    return np.stack([window(image, i, j, (side, side)) for i in rows for j in columns])


def spectra(images: np.ndarray) -> np.ndarray:
    """Return the radial power spectra of images, independent of their brightness and contrast.

    Each image is multiplied by a Hann window, since only the field of a simulation is periodic.

    Args:
        images: (n, side, side).

    Returns:
        (n, 24) float64: the decimal logarithm of the mean power in each ring, where white noise has
        the value 0. The rings have the same width and lie between 0 and the Nyquist frequency.
        Images of less than 50 pixels have fewer rings, so that no ring is empty.
    """
    side = images.shape[-1]
    rings = min(RINGS, (side - 1) // 2)
    hann = np.hanning(side + 2)[1:-1]
    taper = np.outer(hann, hann)
    values = images.astype(np.float64)
    values -= (values * taper).sum((1, 2), keepdims=True) / taper.sum()
    power = np.abs(np.fft.rfft2(values * taper)) ** 2
    q = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)) / 0.5
    ring = np.floor(q * rings).astype(int)
    inside = (ring < rings) & (q > 0)
    # Columns of a real transform count twice, except for the first and the last.
    weight = np.full(q.shape, 2.0)
    weight[:, 0] = 1
    if side % 2 == 0:
        weight[:, -1] = 1
    weight, ring = weight[inside], ring[inside]
    total = np.bincount(ring, weight, rings)
    means = np.stack([np.bincount(ring, weight * each[inside], rings) / total for each in power])
    # Without any power, as in an image of one value, the spectrum is that of white noise.
    every = np.maximum((means * total).sum(1, keepdims=True) / total.sum(), 1e-300)
    return np.log10(np.maximum(means / every, 1e-8))


def values(images: np.ndarray) -> np.ndarray:
    """Return the quantiles (n, 13) at :data:`PROBABILITIES` of images scaled to mean 0, variance 1.

    Args:
        images: (n, side, side).
    """
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.maximum(flat.std(1, keepdims=True), 1e-12)
    return np.quantile(flat, PROBABILITIES, axis=1).T


def features(models: Sequence[Model], inputs: np.ndarray) -> np.ndarray:
    """Return the means (n, channels) over pixels of all features of the encoders of networks.

    Args:
        inputs: (n, side, side) float32, the normalised images.
    """
    images = np.ascontiguousarray(inputs, np.float32)[:, None]
    return np.concatenate([model.means(images) for model in models], 1)


@dataclass(frozen=True)
class Normal(JsonValues):
    """A normal distribution of one description over the training images.

    The covariance is that of probabilistic principal components (Tipping & Bishop, *J. R. Stat.
    Soc. B* 61, 611, 1999): the largest principal components have their own variances, and all other
    directions share one variance.

    Attributes:
        mean, scale: (d,), mean and scale of each value. The values are centred, and divided by the
            scale.
        axes: (d, k), the principal components.
        variances: (k,), the variance along each of them, tolerance included.
        rest: The variance in all other directions, tolerance included.
    """

    mean: Rounded
    scale: Rounded
    axes: Rounded
    variances: Rounded
    rest: float

    def __post_init__(self):
        each = self.mean, self.scale, self.axes, self.variances, self.rest
        require(all(np.isfinite(values).all() for values in each), "a value is not finite")
        sides = len(self.mean), len(self.variances)
        require(self.scale.shape == sides[:1], "mean and scale have different lengths")
        require(self.axes.shape == sides, "axes have another shape than mean and variances")
        require((self.scale > 0).all(), "a scale is not positive")
        require((self.variances > 0).all() and self.rest > 0, "a variance is not positive")

    @classmethod
    def fit(cls, samples: np.ndarray, tolerance: float, relative: bool = False) -> "Normal":
        """Return the normal distribution of samples.

        Args:
            samples: (n, d), two samples or more.
            tolerance: A standard deviation, whose square is added to all variances.
            relative: Whether the tolerance is relative to the standard deviation of each value.
        """
        mean, scale = samples.mean(0), np.ones(samples.shape[1])
        if relative:
            own = samples.std(0, ddof=1)
            # A value that never changes has no scale: half of the mean scale is used instead.
            scale = np.maximum(own, max(0.5 * float(own.mean()), 1e-12))
        centred = (samples - mean) / scale
        _, singular, axes = np.linalg.svd(centred, full_matrices=False)
        eigenvalues = singular**2 / (len(samples) - 1)
        k = min(COMPONENTS, len(eigenvalues))
        others = samples.shape[1] - k
        rest = float(eigenvalues[k:].sum()) / others if others else 0.0
        return cls(mean, scale, axes[:k].T, eigenvalues[:k] + tolerance**2, rest + tolerance**2)

    def distances(self, samples: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distances of samples (n, d), divided by √d: (n,) float array."""
        centred = (samples - self.mean) / self.scale
        along = centred @ self.axes
        left = np.maximum((centred**2).sum(1) - (along**2).sum(1), 0)
        return np.sqrt(((along**2 / self.variances).sum(1) + left / self.rest) / len(self.mean))


def fit(description: str, samples: np.ndarray) -> Normal:
    """Return the normal distribution of a description, with its tolerance."""
    return Normal.fit(samples, TOLERANCES[description], description == "features")


def left_out(description: str, samples: np.ndarray, structures: np.ndarray) -> np.ndarray:
    """Return distances (n,) of samples from distributions that do not know their structures.

    Args:
        description: One of :data:`DESCRIPTIONS`.
        samples: (n, d).
        structures: (n,) int.
    """
    different, fold = np.unique(structures, return_inverse=True)
    fold = fold % min(FOLDS, len(different))
    result = np.empty(len(samples))
    for each in np.unique(fold):
        own = fold == each
        result[own] = fit(description, samples[~own]).distances(samples[own])
    return result


@dataclass(frozen=True)
class Reference(JsonValues):
    """The training images of a network.

    Attributes:
        side: Side of a training image [pixels].
        usual: For each description, the median distance of training images that were left out.
        largest: For each description, the distance that a new training image exceeds with a
            probability of 1% or less, estimated from the images that were left out.
        normals: The distribution of each description.
    """

    side: int
    usual: Mapping[str, float]
    largest: Mapping[str, float]
    normals: Mapping[str, Normal]

    def __post_init__(self):
        require(self.side > 0, "side is not positive")
        for each in (self.usual, self.largest):
            require(each.keys() == DESCRIPTIONS.keys(), f"names are not {', '.join(DESCRIPTIONS)}")
            require(
                all(0 < distance < np.inf for distance in each.values()),
                "a distance of training images is not positive",
            )
        require(self.normals.keys() == DESCRIPTIONS.keys(), "a distribution is missing")

    @classmethod
    def of(
        cls, side: int, samples: Mapping[str, np.ndarray], structures: np.ndarray
    ) -> "Reference":
        """Return the reference of training images.

        Args:
            side: Side of a training image [pixels].
            samples: Each description of the training images, (n, d).
            structures: (n,) int.
        """
        apart = {name: left_out(name, each, structures) for name, each in samples.items()}
        return cls(
            side,
            {name: float(np.median(each)) for name, each in apart.items()},
            {name: _tail(each) for name, each in apart.items()},
            {name: fit(name, each) for name, each in samples.items()},
        )

    def distances(self, described: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the distances of windows for each description, (n,) each.

        A distance is the logarithm of the ratio to the usual distance, and 0 or more. If the
        training images were described by the first rings of their spectra, so are the windows.
        """
        found = {}
        for name, each in described.items():
            normal = self.normals[name]
            own = normal.distances(each[:, : len(normal.mean)])
            found[name] = np.log(np.maximum(own / self.usual[name], 1))
        return found

    def limit(self, name: str) -> float:
        """Return the largest distance of a training image, as in :meth:`distances`."""
        return float(np.log(max(self.largest[name] / self.usual[name], 1)))


def _tail(distances: np.ndarray) -> float:
    """Return the distance that is exceeded with a probability of 1%.

    The logarithm of the distance is regarded as normal, which a hundred images cannot refute, and
    the result is at least the largest distance.
    """
    logarithms = np.log(np.maximum(distances, 1e-12))
    normal = np.exp(logarithms.mean() + 2.33 * logarithms.std())
    return float(max(normal, distances.max()))


def describe(
    models: Sequence[Model], parts: np.ndarray, inputs: np.ndarray
) -> dict[str, np.ndarray]:
    """Return all descriptions (n, d) of windows, by name.

    Args:
        models: The networks that are used together.
        parts: (n, side, side) float32, the windows, with the network's pixels.
        inputs: (n, side, side) float32, the network's inputs for these windows.
    """
    return {
        "spectrum": spectra(parts),
        "values": values(parts),
        "features": features(models, inputs),
    }


def of_windows(distances: Sequence[float] | np.ndarray) -> float:
    """Return the distance of an image from the distances of its windows."""
    return float(np.quantile(distances, QUANTILE))
