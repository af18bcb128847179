"""Conditions that a user gives to a command, as options or in a CSV file."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from passband.axes import AXES, FURTHER_AXES, MAIN_AXES, Axis
from passband.commands.arguments import add_axes
from passband.config import Study, point_table, study_checks
from passband.errors import PassbandError
from passband.grid import Condition
from passband.storage import integrity

#: The largest number of conditions that a command accepts.
MOST_CONDITIONS = 100_000


@dataclass(frozen=True)
class Given:
    """A condition that a user gives.

    Attributes:
        values: The given values of axes, by the axis's name.
        where: File and line of the condition; empty if the condition was given by options.
    """

    values: Mapping[str, float]
    where: str = ""


def add_conditions(command: argparse.ArgumentParser) -> None:
    """Add an option for each axis and the option `--conditions` to a command."""
    add_axes(command, "a value, or several values with commas between them")
    command.add_argument(
        "--conditions",
        type=Path,
        metavar="FILE.csv",
        help=f"a CSV file with a condition in each line, and the columns {', '.join(MAIN_AXES)}; "
        "further axes can be further columns",
    )


def given_conditions(options: argparse.Namespace) -> list[Given]:
    """Return the conditions that the options of a command give; without options, an empty list.

    The conditions of the axes' options are all combinations of the values.
    """
    texts = {name: getattr(options, name) for name in AXES}
    named = [name for name, text in texts.items() if text is not None]
    if options.conditions is not None:
        if named:
            raise PassbandError(
                f"{AXES[named[0]].option} = {texts[named[0]]!r}: must not be given together "
                "with --conditions"
            )
        return read_csv(options.conditions)
    if not named:
        return []
    for name, axis in MAIN_AXES.items():
        if texts[name] is None:
            raise PassbandError(
                f"{axis.option} is missing; give all of "
                f"{', '.join(axis.option for axis in MAIN_AXES.values())}, or --conditions FILE.csv"
            )
    values = {
        name: [_parsed(axis, part) for part in texts[name].split(",")]
        for name, axis in AXES.items()
        if texts[name] is not None
    }
    number = math.prod(map(len, values.values()))
    if number > MOST_CONDITIONS:
        raise PassbandError(
            f"{' × '.join(str(len(axis)) for axis in values.values())} values: {number:,} "
            f"conditions; must not exceed {MOST_CONDITIONS:,}"
        )
    return [Given(dict(zip(values, each, strict=True))) for each in product(*values.values())]


def read_csv(path: Path) -> list[Given]:
    """Return the conditions of a CSV file, see :func:`passband.config.point_table.read`.

    A further axis has the study's own value if there is no such column. Other columns are ignored.
    """
    integrity.check_regular(path)
    try:
        table = point_table.read(str(path), most=MOST_CONDITIONS, others=True)
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


def check_conditions(study: Study, given: list[Given], split: str = "test") -> list[Condition]:
    """Return the conditions of a study, after checking that its images can be formed under them.

    The images are those of the structures of a split.
    """
    found = []
    for one in given:
        # A value that is the study's own value is not part of a condition's id.
        condition = study.axes.condition(one.values)
        try:
            study_checks.check_condition(study, condition, split)
        except ValueError as error:
            where = f"{one.where}: " if one.where else ""
            raise PassbandError(f"{where}{error}") from None
        found.append(condition)
    return found


def _parsed(axis: Axis, text: str) -> float:
    """Return the value of an axis from a part of its option."""
    try:
        return axis.parse(text, f"{axis.option} = {text.strip()!r}")
    except ValueError as error:
        raise PassbandError(str(error)) from None
