"""Conditions off the grid of a study, as users ask about them."""

import numpy as np

from passband.axes import AXES
from passband.config import Study
from passband.config.study_checks import is_allowed
from passband.grid import Condition
from passband.prediction.range_of_use import between, ranges
from passband.seeds import generator


def inside(study: Study, number: int, seed: int = 0) -> list[Condition]:
    """Return random conditions within the ranges of a study's test conditions."""
    random = generator("inside", seed)
    return [_condition(study, random, {}) for _ in range(number)]


def outside(study: Study, number: int, seed: int = 0) -> list[Condition]:
    """Return random conditions beyond the range of one axis, up to half of the range."""
    random, found = generator("outside", seed), []
    while len(found) < number:
        name = random.choice([n for n, (low, high) in _ranges(study).items() if high > low])
        step = random.random() / 2
        condition = _condition(study, random, {name: random.choice([-step, 1 + step])})
        if condition is not None and is_allowed(study, condition):
            found.append(condition)
    return found


def _ranges(study: Study) -> dict[str, tuple[float, float]]:
    """Return the ranges of the axes that need no other exit waves."""
    names = [name for name in study.axes.names if not AXES[name].needs_waves]
    return ranges(study.test_conditions, names)


def _condition(
    study: Study, random: np.random.Generator, shares: dict[str, float]
) -> Condition | None:
    """Return a condition with random values but for these shares; None if no lens has a value."""
    values = {
        name: between(name, ends, shares.get(name, random.random()))
        for name, ends in _ranges(study).items()
    }
    if not all(AXES[name].minimum <= x <= AXES[name].maximum for name, x in values.items()):
        return None
    return study.axes.condition(values)
