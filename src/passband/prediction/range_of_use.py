"""The condition that a user asks about: a value or a range of values on each axis of the grid."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import isfinite

import numpy as np

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES, Axis
from passband.config.base import number_in
from passband.errors import PassbandError
from passband.grid import Axes, Condition
from passband.words import listed, span

#: Number of conditions that represent a range on one axis, or ranges on several axes.
ALONG_ONE, ALONG_MANY = 16, 64
#: The axis on which equal ratios count as equal steps.
_LOGARITHMIC = "dose_e_per_A2"
#: Dice is expected down to the lowest tested dose divided by this factor.
BELOW = 2.0


def scaled(axis: str, values: np.ndarray | float) -> np.ndarray | float:
    """Return values of an axis on its scale: log10 for the dose, unchanged for the others."""
    return np.log10(values) if axis == _LOGARITHMIC else values


def unscaled(axis: str, values: np.ndarray | float) -> np.ndarray | float:
    """Return the values of an axis from values on the axis's scale, see :func:`scaled`."""
    return 10.0**values if axis == _LOGARITHMIC else values


def between(name: str, ends: tuple[float, float], share: float) -> float:
    """Return the value at a share of an axis's range; shares below 0 and above 1 are outside."""
    low, high = (scaled(name, end) for end in ends)
    return float(unscaled(name, low + share * (high - low)))


def ranges(
    conditions: Sequence[Condition], names: Iterable[str] | None = None
) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest value of each axis of the study among its conditions.

    The axes may also be given by their names.
    """
    of_axes = {
        name: [condition.value(name) for condition in conditions]
        for name in names or conditions[0].axes.names
    }
    return {name: (min(of_axis), max(of_axis)) for name, of_axis in of_axes.items()}


@dataclass(frozen=True)
class TestedDoses:
    """The doses of the tests that a process was fitted to, and what it may say beyond them.

    A process continues its linear trend with the logarithm of the dose, and Dice does not: above
    all tested doses, it levels off, and below them, it falls faster. So a higher dose counts as the
    highest tested one. A lower dose, down to half of the lowest, has at most the Dice of the
    lowest, and an interval that reaches further down, see
    :meth:`passband.prediction.gaussian_process.GaussianProcess.interval`. Nothing is said about
    doses below.

    Attributes:
        low, high: The lowest and the highest tested dose [e/Å²].
    """

    __test__ = False  # pytest must not collect this class

    low: float
    high: float

    @classmethod
    def of(cls, tested: Iterable[Condition]) -> "TestedDoses":
        """Return the doses of the conditions that a process was fitted to."""
        doses = [condition.dose_e_per_A2 for condition in tested]
        return cls(min(doses), max(doses))

    @property
    def lowest(self) -> float:
        """The lowest dose at which a Dice is expected [e/Å²]."""
        return AXES["dose_e_per_A2"].canonical(self.low / BELOW)

    def known(self, condition: Condition) -> Condition:
        """Return a condition, with the highest tested dose in place of a higher one."""
        dose = min(condition.dose_e_per_A2, self.high)
        return replace(condition, dose_e_per_A2=dose)

    def edge(self, condition: Condition) -> Condition:
        """Return a condition with the nearest tested dose."""
        dose = max(condition.dose_e_per_A2, self.low)
        return self.known(replace(condition, dose_e_per_A2=dose))

    def octaves_below(self, conditions: Iterable[Condition]) -> np.ndarray:
        """Return the binary logarithm of low/dose of each condition, (n,); 0 for higher doses."""
        doses = np.array([condition.dose_e_per_A2 for condition in conditions])
        return np.log2(np.maximum(self.low / doses, 1.0))

    def check(self, conditions: Iterable[Condition]) -> None:
        """Raise PassbandError if nothing can be said at the dose of a condition."""
        darkest = min(conditions, key=lambda condition: condition.dose_e_per_A2)
        if darkest.dose_e_per_A2 < self.lowest:
            dose = AXES["dose_e_per_A2"]
            values = darkest.values().items()
            there = " ".join(AXES[name].on_command_line(f"{value:.12g}") for name, value in values)
            raise PassbandError(
                f"{dose.option} = {darkest.dose_e_per_A2:g}: must be "
                f"{dose.words(f'{self.lowest:,.10g}')} or more, half of the lowest tested dose; "
                "below, no Dice is expected: train networks there, or test these there with "
                f"passband evaluate STUDY {there}"
            )


@dataclass(frozen=True)
class Excess:
    """How far the asked values of one axis lie outside the range of a study.

    Attributes:
        axis: Name of the axis, see :data:`passband.axes.AXES`.
        below, above: Distance from the smallest asked value to the lower end of the range, and from
            the largest asked value to the upper end of the range, in the axis's unit; 0 if the
            value is inside.
        low, high: The range of the study, in the axis's unit.
    """

    axis: str
    below: float
    above: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """The excess in words, such as ``defocus: 5 nm above the range from 5 to 20 nm``."""
        axis = AXES[self.axis]
        parts = [
            f"{axis.words(f'{excess:,.10g}')} {side}"
            for side, excess in (("below", self.below), ("above", self.above))
            if excess > 0
        ]
        if self.low == self.high:
            span = f"only value, {axis.words(f'{self.low:,.10g}')}"
        else:
            span = f"range from {axis.words(f'{self.low:,.10g} to {self.high:,.10g}')}"
        return f"{axis.label}: {' and '.join(parts)} the {span}"


@dataclass(frozen=True)
class Asked:
    """The condition that a user asks about, with a value or a range of values on each axis.

    Its axes are those of the study, and axes that the study does not have and whose asked value
    differs from its own value.

    Attributes:
        low, high: The smallest and the largest value of each axis. Both are equal if no axis has a
            range.
    """

    low: Condition
    high: Condition

    @classmethod
    def parse(
        cls,
        given: Mapping[str, str | float | None],
        axes: Axes = Axes.main,
    ) -> "Asked":
        """Return the asked condition from the words of a user.

        Args:
            given: For each axis in :data:`passband.axes.AXES`, a number such as ``12``, or a range
                such as ``-10:25``, in the axis's unit. None means that the value is missing. A
                further axis may be missing, which means the study's own value.

        Raises:
            PassbandError: If a value is missing, is not a number or a range, is outside the limits
                of its axis, or if a range is reversed.
        """
        missing = [AXES[name].option for name in MAIN_AXES if given.get(name) is None]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise PassbandError(
                f"{listed(missing)} {verb} missing: a condition has a value of "
                f"{listed([AXES[name].option for name in MAIN_AXES])}"
            )
        ends = {axis.name: _ends(axis, given[axis.name]) for axis in MAIN_AXES.values()}
        others = []
        for axis in FURTHER_AXES.values():
            if given.get(axis.name) is None:
                continue
            ends[axis.name] = tuple(map(axis.canonical, _ends(axis, given[axis.name])))
            if set(ends[axis.name]) != {axes.own_value(axis.name)}:
                others.append(axis.name)
        axes = axes.with_others(others)
        low, high = ({name: both[end] for name, both in ends.items()} for end in (0, 1))
        return cls(axes.condition(low), axes.condition(high))

    @classmethod
    def at(cls, condition: Condition) -> "Asked":
        """Return the asked condition that is a single condition of the grid."""
        return cls(condition, condition)

    @property
    def axes(self) -> Axes:
        return self.low.axes

    @property
    def ranged(self) -> list[str]:
        """Names of the axes that have a range."""
        return [name for name, (low, high) in self.values.items() if low < high]

    @property
    def values(self) -> dict[str, tuple[float, float]]:
        """The smallest and the largest value of each axis, by the axis's name."""
        low, high = self.low.values(), self.high.values()
        return {name: (low[name], high[name]) for name in low}

    @property
    def middle(self) -> Condition:
        """The condition in the middle of every range; of the dose, the geometric mean."""
        middles = {
            name: float(unscaled(name, np.mean(scaled(name, np.array(ends)))))
            for name, ends in self.values.items()
        }
        return self.axes.condition(middles)

    @property
    def words(self) -> str:
        """The condition for people, such as ``-10 to 25 nm · 5 µm · 15 mrad · 400 e/Å²``.

        The unit shows which of the main axes a number belongs to. Further axes have their names.
        """
        return " · ".join(
            ("" if name in MAIN_AXES else f"{AXES[name].label} ")
            + AXES[name].words(span(low, high))
            for name, (low, high) in self.values.items()
        )

    def points(self) -> tuple[list[Condition], np.ndarray]:
        """Return conditions that represent the asked ranges, and their weights, which add to 1.

        Without a range, there is one condition. If one axis has a range, the conditions are the
        middles of :data:`ALONG_ONE` equal parts of the range. If several axes have ranges, the
        conditions are the first :data:`ALONG_MANY` points of a Halton sequence (Halton, *Numer.
        Math.* 2, 84, 1960), which fills the ranges evenly and is the same in every run. Steps
        along the dose are equal ratios. The corners of the ranges are added with the weight 0, so
        that they count only for the worst condition.
        """
        ranged = self.ranged
        if not ranged:
            return [self.low], np.ones(1)
        if len(ranged) == 1:
            places = (np.arange(ALONG_ONE)[:, None] + 0.5) / ALONG_ONE
        else:
            from scipy.stats import qmc  # scipy.stats takes a second to import

            places = qmc.Halton(len(ranged), scramble=False).random(ALONG_MANY + 1)[1:]
        corners = np.array(list(product((0.0, 1.0), repeat=len(ranged))))
        weights = np.r_[np.full(len(places), 1 / len(places)), np.zeros(len(corners))]
        return [self._within(ranged, place) for place in np.r_[places, corners]], weights

    def _within(self, ranged: list[str], place: np.ndarray) -> Condition:
        """Return the condition at a place between 0 and 1 along each axis that has a range."""
        values = {name: low for name, (low, _) in self.values.items()}
        for name, share in zip(ranged, place, strict=True):
            values[name] = between(name, self.values[name], share)
        return self.axes.condition(values)

    def outside(self, of_study: Mapping[str, tuple[float, float]]) -> list[Excess]:
        """Return the axes on which asked values lie outside the range of a study.

        Args:
            of_study: Smallest and largest value of each axis among the study's test conditions, see
                :func:`ranges`, for all axes of the condition.
        """
        found = []
        for name, (low, high) in self.values.items():
            least, most = of_study[name]
            below, above = max(0.0, least - low), max(0.0, high - most)
            if below > 0 or above > 0:
                # Rounding removes the error of the subtraction of two decimal numbers.
                digits = AXES[name].decimals
                found.append(Excess(name, round(below, digits), round(above, digits), least, most))
        return found


def _ends(axis: Axis, given: str | float) -> tuple[float, float]:
    """Return the smallest and the largest value that a user gave for an axis."""
    text = str(given).strip()
    parts = text.split(":")
    numbers = [number_in(part) for part in parts]
    said = f"{axis.option} = {text!r}"
    if len(parts) > 2 or any(number is None or not isfinite(number) for number in numbers):
        unit = "" if axis.unit == "1" else f" in {axis.unit} without the unit"
        span = "" if axis.needs_waves else f", or a range such as {axis.example}"
        raise PassbandError(
            f"{said}: must be a number{unit}, such as {axis.example.split(':')[1]}{span}"
        )
    try:
        for number in numbers:
            axis.checked(number, said)
    except ValueError as error:
        raise PassbandError(str(error)) from None
    if numbers[0] > numbers[-1]:
        raise PassbandError(f"{said}: the range is reversed; write {numbers[-1]:g}:{numbers[0]:g}")
    return numbers[0], numbers[-1]
