"""Microscopes that are drawn at random within the ranges of a study, and outside the ranges.

:mod:`passband.prediction.choice_scores` judges recommendations under these microscopes.
"""

from collections.abc import Callable, Mapping

import numpy as np

from passband.axes import AXES, Axes
from passband.grid import Condition
from passband.prediction.range_of_use import scaled, unscaled
from passband.seeds import generator

#: Largest distance of a drawn microscope outside a range, as a share of the range.
BEYOND = 0.5
#: Number of draws for one microscope until all values are allowed.
_TRIES = 1000


def drawn_inside(
    ranges: Mapping[str, tuple[float, float]],
    number: int,
    seed: int,
    allowed: Callable[[Condition], bool] = lambda condition: True,
    axes: Axes = Axes.main,
) -> list[Condition]:
    """Return microscopes that are drawn evenly within the ranges of a study.

    The draws are uniform in defocus, in the phase that Cs causes at the edge of the aperture, in
    the aperture, in the logarithm of the dose, and in each further axis of the study. This phase
    is πCsα⁴/2λ, so at a given aperture the draws are uniform in Cs. A draw depends only on its
    number, the seed and the ranges.

    Args:
        ranges: Smallest and largest value of each axis, in the axis's unit.
        allowed: Whether images can be formed under a condition. Other conditions are drawn again.
    """

    def one(random: np.random.Generator) -> dict[str, float]:
        return {name: _between(name, ends, random.random()) for name, ends in ranges.items()}

    return [_drawn(one, allowed, axes, seed, "inside", k) for k in range(number)]


def drawn_outside(
    ranges: Mapping[str, tuple[float, float]],
    number: int,
    seed: int,
    allowed: Callable[[Condition], bool] = lambda condition: True,
    axes: Axes = Axes.main,
) -> list[Condition]:
    """Return microscopes that are outside the range of one axis, and inside all other ranges.

    The axis is drawn from the axes whose range has a width, and then the end of the range. The
    distance from the range is uniform between 0 and :data:`BEYOND` times the width of the range.
    For the dose, distance and width are those of its logarithm. The parameters are those of
    :func:`drawn_inside`.
    """
    wide = [name for name, (low, high) in ranges.items() if high > low]

    def one(random: np.random.Generator) -> dict[str, float]:
        values = {name: _between(name, ends, random.random()) for name, ends in ranges.items()}
        axis = wide[random.integers(len(wide))]
        step = BEYOND * random.random()
        values[axis] = _between(axis, ranges[axis], -step if random.random() < 0.5 else 1 + step)
        return values

    def beyond(condition: Condition) -> bool:
        values = condition.values()
        inside = all(low <= values[name] <= high for name, (low, high) in ranges.items())
        return not inside and allowed(condition)

    return [_drawn(one, beyond, axes, seed, "outside", k) for k in range(number)]


def _between(name: str, ends: tuple[float, float], share: float) -> float:
    """Return the value at a share of a range; shares below 0 and above 1 are outside the range."""
    low, high = (scaled(name, end) for end in ends)
    return float(unscaled(name, low + share * (high - low)))


def _drawn(
    one: Callable[[np.random.Generator], dict[str, float]],
    allowed: Callable[[Condition], bool],
    axes: Axes,
    *names: str | int,
) -> Condition:
    """Return the first allowed condition from the draws of one microscope."""
    random = generator("recommend", *names)
    for _ in range(_TRIES):
        values = one(random)
        if all(AXES[name].minimum <= x <= AXES[name].maximum for name, x in values.items()):
            condition = Condition.of(values, axes)
            if allowed(condition):
                return condition
    raise ValueError(f"no allowed condition in {_TRIES} draws")
