"""The drawn microscopes of a study, under which its first replicas can be tested too.

They are imported without torch and xarray, since every start of the workflow checks them.
"""

from collections.abc import Callable, Mapping

import numpy as np

from passband import PassbandError
from passband.axes import AXES
from passband.config import Study, study_checks
from passband.grid import Axes, Condition
from passband.prediction.range_of_use import between, ranges
from passband.seeds import generator

#: The number of microscopes outside the ranges is the number of microscopes inside, divided by this
#: number.
_INSIDE_PER_OUTSIDE = 3
#: Largest distance of a drawn microscope outside a range, as a share of the range.
BEYOND = 0.5
#: Number of draws for one microscope until all values are allowed.
_TRIES = 1000


def microscopes(study: Study, number: int, seed: int) -> tuple[list[Condition], list[Condition]]:
    """Return the drawn microscopes inside and outside the ranges of a study's test conditions.

    Studies with the same ranges and the same microscope have the same draws. The draws for a
    smaller number are the first draws for a larger number.
    """

    def allowed(condition: Condition) -> bool:
        return is_allowed(study, condition)

    # The microscopes have the study's own values of axes that need other exit waves.
    names = [name for name in study.axes.names if not AXES[name].needs_waves]
    of_study, given = ranges(study.test_conditions, names), (seed, allowed, study.axes)
    inside = drawn_inside(of_study, number, *given)
    return inside, drawn_outside(of_study, number // _INSIDE_PER_OUTSIDE, *given)


def is_allowed(study: Study, condition: Condition, split: str = "test") -> bool:
    """Return whether the study's microscope can form images of a split under a condition."""
    try:
        study_checks.check_condition(study, condition, split)
    except ValueError:
        return False
    return True


def number_drawn(study: Study) -> int:
    """Return the number of microscopes of :func:`first_replica_microscopes`, without a draw."""
    number = study.evaluation.microscopes
    return number + number // _INSIDE_PER_OUTSIDE


def first_replica_microscopes(study: Study) -> list[Condition]:
    """Return the microscopes under which `evaluate` jobs test the first replicas.

    They are those of :func:`microscopes` with the seed 0 and the number `evaluation.microscopes`.
    Each condition is listed once.

    Raises:
        PassbandError: If no image can be formed under the drawn conditions.
    """
    number = study.evaluation.microscopes
    if not number:
        return []
    try:
        inside, outside = microscopes(study, number, 0)
    except ValueError as error:
        raise PassbandError(
            f"evaluation.microscopes = {number}: {error} within the ranges of test_grid, or near "
            "them; give narrower ranges, or 0 microscopes"
        ) from None
    return list(dict.fromkeys([*inside, *outside]))


def drawn_inside(
    ranges: Mapping[str, tuple[float, float]],
    number: int,
    seed: int,
    allowed: Callable[[Condition], bool],
    axes: Axes,
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
        return {name: between(name, ends, random.random()) for name, ends in ranges.items()}

    return [_drawn(one, allowed, axes, seed, "inside", k) for k in range(number)]


def drawn_outside(
    ranges: Mapping[str, tuple[float, float]],
    number: int,
    seed: int,
    allowed: Callable[[Condition], bool],
    axes: Axes,
) -> list[Condition]:
    """Return microscopes that are outside the range of one axis, and inside all other ranges.

    The axis is drawn from the axes whose range has a width, and then the end of the range. The
    distance from the range is uniform between 0 and :data:`BEYOND` times the width of the range.
    For the dose, distance and width are those of its logarithm. The parameters are those of
    :func:`drawn_inside`.
    """
    wide = [name for name, (low, high) in ranges.items() if high > low]

    def one(random: np.random.Generator) -> dict[str, float]:
        values = {name: between(name, ends, random.random()) for name, ends in ranges.items()}
        axis = wide[random.integers(len(wide))]
        step = BEYOND * random.random()
        values[axis] = between(axis, ranges[axis], -step if random.random() < 0.5 else 1 + step)
        return values

    def beyond(condition: Condition) -> bool:
        values = condition.values()
        inside = all(low <= values[name] <= high for name, (low, high) in ranges.items())
        return not inside and allowed(condition)

    return [_drawn(one, beyond, axes, seed, "outside", k) for k in range(number)]


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
            condition = axes.condition(values)
            if allowed(condition):
                return condition
    raise ValueError(f"no allowed condition in {_TRIES} draws")
