"""Scores of predictions, their differences with intervals, and the words for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import stdtr

from findings.twelve_thousand.locked_scores import holm
from passband.matrices.crossed_intervals import Share, half_width, of_mean
from passband.prediction.matrix import interaction

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """A difference of two lines, its interval crossed over networks and tests, and its p-value."""

    value: float
    low: float
    high: float
    p: float
    p_holm: float = np.nan

    @property
    def is_above(self) -> bool:
        """Whether the interval is above 0."""
        return self.low > 0

    @property
    def is_below(self) -> bool:
        """Whether the interval is below 0."""
        return self.high < 0

    def verdict(self, margin: float, more: str, less: str) -> str:
        """Return ``more``, ``less``, ``equal`` or ``open``, by the protocol's margin."""
        if self.is_above and self.value > margin:
            return more
        if self.is_below and self.value < -margin:
            return less
        if -margin <= self.low and self.high <= margin:
            return "equal"
        return "open"

    def values(self) -> dict[str, float]:
        return {name: float(x) for name, x in asdict(self).items() if x == x}


def mean(cells: np.ndarray) -> Difference:
    """Return the mean of the cells (network, test), for other networks and other tests."""
    shares = [of_mean(cells.mean(1)), of_mean(cells.mean(0))]
    value = float(cells.mean())
    half = float(half_width(CONFIDENCE, *shares))
    return Difference(value, value - half, value + half, _p(value, shares))


def _p(value: float, shares: Sequence[Share]) -> float:
    """Return the two-sided p-value of the same t with Satterthwaite's degrees of freedom."""
    total = float(sum(share.variance for share in shares))
    if total <= 0:
        return float(value == 0)
    freedom = total**2 / sum(float(share.variance**2 / share.freedom) for share in shares)
    return float(2 * stdtr(freedom, -abs(value) / np.sqrt(total)))


def difference(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> Difference:
    """Return D(a, b) = R²(a) − R²(b) of two predictions of a matrix, each (network, test)."""
    return mean(((y - b) ** 2 - (y - a) ** 2) / y.var())


def adjusted(several: Mapping[str, Difference]) -> dict[str, Difference]:
    """Return the differences with the p-values of Holm (1979)."""
    p = holm([each.p for each in several.values()])
    return {
        name: replace(each, p_holm=of) for (name, each), of in zip(several.items(), p, strict=True)
    }


def of_line(
    replicas: np.ndarray, predicted: np.ndarray, doses: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    """Return R², INT and its ceiling of a predicted matrix.

    Args:
        replicas: (network, replica, test), Dice.
        doses: Of networks and of tests [e/Å²].
    """
    found = interaction.scores(replicas.mean(1), predicted, doses, replicas)
    return {name: float(found[name]) for name in ("r2", "interaction", "ceiling")}


@dataclass(frozen=True)
class Mean:
    """A mean over pairs of lenses, or over patches, with its 95% interval, which is Student's."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Mean":
        value = float(values.mean())
        half = float(half_width(CONFIDENCE, of_mean(values)))
        return cls(value, value - half, value + half)


def isotonic(known: np.ndarray, Y: np.ndarray, new: np.ndarray, rises: bool = True) -> np.ndarray:
    """Return the Dice that an isotonic map predicts from one number of each cell.

    Between known numbers the map is linear, and beyond them it is constant. A number that is not
    defined has the mean of the known Dice.

    Args:
        known, Y: (cell,), numbers and Dice of the known cells.
        new: Numbers of other cells, of any shape.
        rises: Whether Dice rises with the number.
    """
    there = np.isfinite(known)
    x, place = np.unique(known[there], return_inverse=True)
    number = np.bincount(place)
    means = np.bincount(place, Y[there]) / number
    fitted = isotonic_regression(means, weights=number, increasing=rises).x
    found = np.interp(new, x, fitted)
    return np.where(np.isfinite(new), found, Y.mean())


def claim(holds: bool, refuted: bool, **numbers: float) -> dict[str, Any]:
    """Return a claim's word and its numbers."""
    word = "refuted" if refuted else "holds" if holds else "open"
    return {"verdict": word, **{name: float(x) for name, x in numbers.items()}}
