"""The drawn microscopes of a study, under which recommendations are checked.

They are imported without torch and xarray, since every start of the workflow checks them.
"""

from passband import PassbandError
from passband.axes import AXES
from passband.config import Study, study_checks
from passband.grid import Condition
from passband.prediction.drawn_microscopes import drawn_inside, drawn_outside
from passband.prediction.range_of_use import ranges

#: The number of microscopes outside the ranges is the number of microscopes inside, divided by this
#: number.
_INSIDE_PER_OUTSIDE = 3


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

    These are the microscopes of ``passband recommend --check N`` with seed 0, where N is
    `evaluation.microscopes`. Each condition is listed once.

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
