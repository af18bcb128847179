"""Covariance of Dice between two networks or two test conditions, from profiles of conditions.

A factor of the covariance is a matrix over training conditions, or over test conditions. Its
element for two conditions is

    k(d) + b·x·x′ + c,    d² = Σ d_n²/ℓ_n²,

where k is a Matérn kernel with ν = 5/2 (Rasmussen & Williams 2006, eq. 4.17). The distances d_n
between the profiles of the two conditions have separate lengths ℓ_n, see :class:`Kernel`. The
number x is the logarithm of the dose minus its mean, b is the size of the linear effect of the
dose, and c is a constant. With the linear effect, a trend with the dose continues outside the
fitted doses, where k decreases to 0.

A mixture of conditions has no profile: its values are NaN. It is far from every other condition,
and its x is 0. So its covariance with others is c, and of the training conditions only their common
effect says something about it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from passband.analysis.profiles import Profiles

#: Names of the distances between two conditions, see :func:`distances`.
DISTANCES = "correlation", "bits", "log_dose"
#: Squared distance from a condition without a profile, beyond which k is 0 for every length.
_FAR = 1e6


@dataclass(frozen=True)
class Kernel:
    """The distances between conditions from which a covariance is computed.

    The parameters of a factor are natural logarithms: the lengths of all distances, b and c. Their
    prior is wide, so that it matters only for few conditions.

    Attributes:
        lengths: Medians of the prior of the lengths.
        squared: Returns the squared distances of two sets of profiles a and b, (names, a, b).
        deviations: Standard deviations of the prior of the lengths' logarithms; None is 1 for all.
    """

    names: tuple[str, ...]
    lengths: tuple[float, ...]
    squared: Callable[[Profiles, Profiles], np.ndarray]
    deviations: tuple[float, ...] | None = None

    @property
    def prior(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of the parameters of a factor."""
        deviations = self.deviations or (1.0,) * len(self.names)
        return np.log([*self.lengths, 0.3, 1.0]), np.array([*deviations, 1.5, 1.5])


def distances(a: Profiles, b: Profiles) -> np.ndarray:
    """Return the squared distances between the profiles of conditions, (DISTANCES, a, b) float64.

    The first two are :func:`mean_square` of two curves:

    - `correlation`: see :func:`correlation`, with the specimen's power as the weight,
    - `bits`: ½log₂(1 + s), with equal weights.

    The squared distance `log_dose` is the squared difference of the decimal logarithms of the dose.

    Args:
        a, b: Profiles with the same frequencies.
    """
    by_power = mean_square(correlation(a), correlation(b), a.power * a.area)
    by_area = mean_square(a.bits, b.bits, a.area)
    of_dose = _squared(a.log_dose[:, None], b.log_dose[:, None])
    return np.stack([by_power, by_area, of_dose])


def correlation(profiles: Profiles) -> np.ndarray:
    """Return the correlation of the image with the specimen at each frequency, (condition, q).

    It is c = sign(T)·√(s/(1 + s)), with the transfer T and the signal-to-noise ratio s, so that it
    is negative where the lens reverses contrast.
    """
    return np.sign(profiles.T) * np.sqrt(1 - 4.0**-profiles.bits)  # 1 + s is 4 to the power of bits


def mean_square(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return mean squared differences of curves over the plane of frequencies, (a, b).

    Args:
        x, y: Curves (a, frequency) and (b, frequency).
        weight: (frequency,), of which only the ratios matter.
    """
    root = np.sqrt(weight / weight.sum())
    return _squared(x * root, y * root)


def _squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distances between the rows of x and the rows of y."""
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    # A difference of large numbers has rounding errors, and their square root would be large.
    square[square < 1e-12 * (1 + np.nanmax(square, initial=0))] = 0
    return square


#: The distances between profiles.
PROFILES = Kernel(DISTANCES, (0.5, 0.25, 1.0), distances)


def spectrum_kernel(grid: np.ndarray) -> Kernel:
    """Return the distance of spectra of images, see :mod:`passband.analysis.image_spectra`.

    As for a parameter, the median length of the prior is the standard deviation over the grid.

    Args:
        grid: (condition, ring), the spectra of the conditions of the grid.
    """

    def squared(a: Profiles, b: Profiles) -> np.ndarray:
        of_a, of_b = (np.stack([*of.parameters.values()], -1) for of in (a, b))
        return _squared(of_a, of_b)[None] / of_a.shape[1]

    return Kernel(("spectrum",), (float(np.sqrt(grid.var(0).mean())),), squared)


@dataclass(frozen=True)
class Factor:
    """A factor of the covariance over the conditions of fitted profiles.

    Attributes:
        squared: (distances, conditions, conditions), squared distances between the fitted
            conditions.
        dose: (conditions,), x, the logarithm of the dose minus its mean over the fitted conditions.
    """

    fitted: Profiles
    squared: np.ndarray
    dose: np.ndarray
    kernel: Kernel = PROFILES

    @classmethod
    def of(cls, fitted: Profiles, kernel: Kernel = PROFILES) -> "Factor":
        """Return the factor of the conditions of profiles."""
        squared = _distances(kernel, fitted, fitted)
        np.einsum("dii->di", squared)[:] = 0
        return cls(fitted, squared, _linear(fitted, fitted), kernel)

    def covariance(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of the fitted conditions, and the slope for :meth:`gradient`."""
        matrix, slope = _matern(parameters, self.squared)
        linear, constant = np.exp(parameters[-2:])
        matrix += linear * np.outer(self.dose, self.dose)
        matrix += constant
        return matrix, slope

    def gradient(self, parameters: np.ndarray, slope: np.ndarray, by: np.ndarray) -> np.ndarray:
        """Return derivatives by the parameters, from those `by` elements of the covariance."""
        lengths = -2 * np.exp(-2 * parameters[:-2]) * np.tensordot(self.squared, by * slope, 2)
        linear, constant = np.exp(parameters[-2:])
        return np.array([*lengths, linear * self.dose @ by @ self.dose, constant * by.sum()])

    def covariance_about(self, parameters: np.ndarray, other: "Factor") -> np.ndarray:
        """Return the covariance of the conditions, with the mean dose of another factor."""
        return replace(self, dose=_linear(self.fitted, other.fitted)).covariance(parameters)[0]

    def to(self, parameters: np.ndarray, others: Profiles) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of other conditions with the fitted ones, and their variances.

        The result is an (others, fitted) array and an (others,) array.
        """
        dose = _linear(others, self.fitted)
        kernel, _ = _matern(parameters, _distances(self.kernel, others, self.fitted))
        linear, constant = np.exp(parameters[-2:])
        cross = kernel + linear * np.outer(dose, self.dose) + constant
        return cross, 1 + linear * dose**2 + constant


def _distances(kernel: Kernel, a: Profiles, b: Profiles) -> np.ndarray:
    """Return a kernel's squared distances; those of conditions without a profile are large."""
    squared = kernel.squared(a, b)
    squared[np.isnan(squared)] = _FAR
    return squared


def _linear(profiles: Profiles, fitted: Profiles) -> np.ndarray:
    """Return x of conditions, the logarithm of the dose minus the mean of the fitted conditions."""
    return np.nan_to_num(profiles.log_dose - np.nanmean(fitted.log_dose))


def _matern(parameters: np.ndarray, squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Matérn kernel k, ν = 5/2, and its derivative by the squared distance d²."""
    u = np.tensordot(5 * np.exp(-2 * parameters[:-2]), squared, 1)
    slope = np.sqrt(u)
    decay = np.exp(-slope)
    # The arrays may be large, so that no further ones are made.
    slope += 1
    u /= 3
    u += slope
    u *= decay
    slope *= decay
    slope *= -5 / 6
    return u, slope
