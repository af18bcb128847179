"""The Dice of a study's networks under asked conditions: measured, or expected by a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from passband.analysis.profiles import Profiles
from passband.grid import Condition
from passband.network_id import NetworkId
from passband.prediction.gaussian_process import COVERAGE, GaussianProcess
from passband.prediction.range_of_use import TestedDoses

#: A function that returns the profiles of conditions.
ProfilesOf = Callable[[Sequence[Condition]], Profiles]


@dataclass(frozen=True)
class FittedNetworks:
    """The networks of one specimen and architecture, and the fitted model of their Dice.

    Attributes:
        specimen, architecture: Specimen and architecture that the networks were trained with.
        networks: The networks, which are the rows of the model.
    """

    specimen: str
    architecture: str
    networks: tuple[NetworkId, ...]
    model: GaussianProcess

    @property
    def train(self) -> tuple[str, ...]:
        """The id of each network's training condition."""
        return tuple(network.condition for network in self.networks)


@dataclass(frozen=True)
class NetworkDice:
    """Mean Dice of networks under conditions, each with its interval.

    Attributes:
        mean, low, high: (network, test) float64, Dice and the ends of its interval.
        is_measured: (network, test) bool, whether the Dice was measured.
    """

    networks: tuple[NetworkId, ...]
    test: tuple[Condition, ...]
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_measured: np.ndarray

    def of(self, network: NetworkId) -> "NetworkDice":
        """Return the Dice of one network."""
        row = [self.networks.index(network)]
        return NetworkDice(
            networks=(network,),
            test=self.test,
            mean=self.mean[row],
            low=self.low[row],
            high=self.high[row],
            is_measured=self.is_measured[row],
        )


@dataclass(frozen=True)
class Dice:
    """An expected Dice with the lower and the upper end of its interval, each from 0 to 1."""

    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The Dice for people, such as ``0.912 (0.853 to 0.961)``."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def short_words(self) -> str:
        """The Dice of one image for people, such as ``0.91 (0.85 to 0.96)``."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def predicted(
    model: GaussianProcess,
    train: Profiles | None,
    points: Sequence[Condition],
    profiles: ProfilesOf,
    doses: TestedDoses,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what a model expects under asked conditions, which may be beyond the tested doses.

    All answers come from here, so that none of them follows a model where it is no guide.

    Args:
        train: See :meth:`passband.prediction.gaussian_process.GaussianProcess.predict`.
        points: The asked conditions.
        doses: The doses of the tests that the model was fitted to.

    Returns:
        expected, low, high: (row, point) float64, Dice, 0 to 1.

    Raises:
        PassbandError: If a dose is too low, see :class:`TestedDoses`.
    """
    doses.check(points)
    test = profiles([doses.known(point) for point in points])
    octaves = doses.octaves_below(points)
    if not octaves.any():
        return model.interval(train, test)
    return model.interval(train, test, profiles([doses.edge(point) for point in points]), octaves)


def expected_dice(
    fitted: Sequence[FittedNetworks],
    measured: NetworkDice | None,
    points: Sequence[Condition],
    profiles: ProfilesOf,
    doses: TestedDoses,
) -> NetworkDice:
    """Return the Dice of all networks under conditions: measured, or else expected.

    Args:
        fitted: All networks, with their models.
        measured: The measured Dice of all networks under the conditions, NaN where nothing was
            measured. With None, all Dice is expected.
        doses: See :func:`predicted`, which says what is not answered.
    """
    found = (predicted(one.model, None, points, profiles, doses) for one in fitted)
    mean, low, high = map(np.concatenate, zip(*found, strict=True))
    is_measured = np.zeros(mean.shape, dtype=bool)
    if measured is not None:
        is_measured = measured.is_measured
        mean = np.where(is_measured, measured.mean, mean)
        # The interval of a mean over a single structure is not known.
        low = np.where(np.isfinite(measured.low), measured.low, low)
        high = np.where(np.isfinite(measured.high), measured.high, high)
    return NetworkDice(
        networks=tuple(network for one in fitted for network in one.networks),
        test=tuple(points),
        mean=np.clip(mean, 0, 1),
        low=np.clip(np.minimum(low, mean), 0, 1),
        high=np.clip(np.maximum(high, mean), 0, 1),
        is_measured=is_measured,
    )


def half_widths(scores: np.ndarray) -> np.ndarray:
    """Return the half-width of the interval of each mean of scores (…, structure); NaN for one."""
    from scipy.special import stdtrit  # quantiles of t; scipy.stats takes a second to import

    number = scores.shape[-1]
    if number < 2:
        return np.full(scores.shape[:-1], np.nan)
    quantile = stdtrit(number - 1, (1 + COVERAGE) / 2)
    return quantile * scores.std(-1, ddof=1) / np.sqrt(number)
