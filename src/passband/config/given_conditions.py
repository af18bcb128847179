"""Conditions that a user gives, with the place in a file that has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from passband.axes import FURTHER_AXES, MAIN_AXES
from passband.config import point_table, study_checks
from passband.config.study import Study
from passband.errors import PassbandError
from passband.grid import Condition
from passband.storage import integrity

#: The largest number of conditions that are accepted at once.
MOST = 100_000
#: Largest number of values that an error message lists.
_MOST_LISTED = 20


@dataclass(frozen=True)
class Given:
    """A condition that a user gives.

    Attributes:
        values: The given values of axes, by the axis's name.
        where: File and line of the condition; empty if it is not from a file.
    """

    values: Mapping[str, float]
    where: str = ""

    def refuse(self, why: object) -> PassbandError:
        """Return the error that says what is wrong with the condition, and where it is."""
        return PassbandError(f"{self.where}: {why}" if self.where else str(why))


def read(path: Path) -> list[Given]:
    """Return the conditions of a CSV file, see :func:`passband.config.point_table.read`.

    A further axis has the study's own value if there is no such column. Other columns are ignored.
    """
    integrity.check_regular(path)
    try:
        table = point_table.read(str(path), most=MOST, others=True)
    except ValueError as error:
        raise PassbandError(str(error)) from None
    for name in MAIN_AXES:
        if name not in table.points[0]:
            raise PassbandError(
                f"{table.first_line}: has no column {name}; the columns must be "
                f"{', '.join(MAIN_AXES)}, with commas between them; also allowed: "
                f"{', '.join(FURTHER_AXES)}"
            )
    return [Given(values, table.where(number)) for number, values in enumerate(table.points)]


def conditions(study: Study, given: Sequence[Given], split: str = "test") -> list[Condition]:
    """Return the conditions of a study, after checking that its images can be formed under them.

    The images are those of the structures of a split.
    """
    found = []
    for one in given:
        # A value that is the study's own value is not part of a condition's id.
        condition = study.axes.asked(one.values)
        try:
            study_checks.check_condition(study, condition, split)
        except ValueError as error:
            raise one.refuse(error) from None
        found.append(condition)
    return found


def check_in_grids(study: Study, conditions: Sequence[Condition], given: Sequence[Given]) -> None:
    """Check that conditions are in the training grid or in the test grid.

    The workflow forms images of these conditions only. `given` says where each is from.
    """
    known = {*study.train_conditions, *study.test_conditions}
    for condition, one in zip(conditions, given, strict=True):
        if condition not in known:
            raise one.refuse(_why_unknown(study, condition))


def _why_unknown(study: Study, condition: Condition) -> str:
    """Return what is wrong with a condition that is in neither grid."""
    grids = (study.train_axes, study.test_axes)
    for name, value in condition.further:
        if name in study.axes.ranged and name not in study.given_values:
            return f"{name} = {value:g}: must not be given, since images have a range of it"
    for name, value in condition.values().items():
        # An axis that the study does not have has its own value under all conditions.
        own = [study.axes.others.get(name)]
        known = sorted({v for axes in grids for v in axes.get(name, own)})
        if value not in known:
            allowed = ", ".join(f"{v:g}" for v in known[:_MOST_LISTED])
            more = ", ..." if len(known) > _MOST_LISTED else ""
            one_of = "one of " if len(known) > 1 else ""
            return f"{name} = {value:g}: must be {one_of}{allowed}{more}"
    what = "mixes values of the training and the test grid"
    if len([*study.train_products, *study.test_products]) > 2:
        what = "is none of the study's conditions"
    return f"condition {condition.id}: {what}"
