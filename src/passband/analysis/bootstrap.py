"""Bootstrap over clusters, such as training and test conditions: samples, percentile intervals.

Intervals over replicas and images are in :mod:`passband.matrices.crossed_intervals`.
"""

from dataclasses import dataclass

import numpy as np

from passband.seeds import generator


@dataclass(frozen=True)
class Estimate:
    """A value, and the ends of its interval. It is false if there is no value."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan

    def __bool__(self) -> bool:
        return bool(np.isfinite(self.value))


NOTHING = Estimate()


def interval_edges(confidence: float) -> list[float]:
    """Return the two quantiles at the ends of an interval with the given confidence."""
    return [(1 - confidence) / 2, (1 + confidence) / 2]


def resample(number: int, draws: int, *names: str | int) -> np.ndarray:
    """Return the number of times that each cluster is in each bootstrap sample.

    Args:
        number: Number of clusters. Each bootstrap sample is drawn with the same number of clusters.
        *names: Names from which the seed of the bootstrap is derived.

    Returns:
        (draws, number): each row is a bootstrap sample. The sum of each row is `number`.
    """
    random = generator(*names, "bootstrap")
    return random.multinomial(number, np.full(number, 1 / number), size=draws).astype(float)


def percentile_interval(samples: np.ndarray, edges: list[float]) -> tuple[float, float]:
    """Return the percentile interval of bootstrap samples (draws,); NaN samples are ignored."""
    finite = samples[np.isfinite(samples)]
    return tuple(np.quantile(finite, edges)) if len(finite) else (np.nan, np.nan)


def with_interval(
    name: str, dims: tuple, values: np.ndarray, words: str, confidence: float, **attrs: str
) -> dict[str, tuple]:
    """Return the variables of values (..., 3) with their intervals, which alone have `attrs`."""
    interval = {"units": "1", "long_name": f"{confidence:.0%} interval of {words}", **attrs}
    return {
        name: (dims, values[..., 0], {"units": "1", "long_name": words}),
        f"{name}_interval": ((*dims, "bound"), values[..., 1:], interval),
    }


def mean_dice(D: np.ndarray) -> np.ndarray:
    """Return the mean (test,) of Dice (replica, test, structure) over replicas that are not NaN."""
    D = D[np.isfinite(D[:, 0, 0])]
    return D.mean((0, 2)) if len(D) else np.full(D.shape[1], np.nan)
