"""Conditions that a user gives to a command, as options or in a CSV file."""

import argparse
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from passband import PassbandError
from passband.config import Study
from passband.grid import MAIN_AXES, Axis, Condition

#: The largest number of conditions that a command accepts.
MOST_CONDITIONS = 100_000
#: The largest size of a CSV file [bytes].
_MOST_BYTES = 10**8


@dataclass(frozen=True)
class Given:
    """A condition, and the place where the user gave the condition.

    Attributes
    ----------
    condition : Condition
        The condition.
    where : str
        File and line of the condition; empty if the condition was given by options.
    """

    condition: Condition
    where: str = ""


def add_conditions(command: argparse.ArgumentParser) -> None:
    """Add an option for each axis and the option `--conditions` to a command."""
    for axis in MAIN_AXES.values():
        command.add_argument(
            _option(axis),
            metavar=axis.unit,
            help=f"{axis.label} [{axis.unit}]: a value, or several values with commas between them",
        )
    command.add_argument(
        "--conditions",
        type=Path,
        metavar="FILE.csv",
        help=f"a CSV file with a condition in each line, and the columns {', '.join(MAIN_AXES)}",
    )


def given_conditions(options: argparse.Namespace) -> list[Given]:
    """Return the conditions that the options of a command give; without options, an empty list.

    The conditions of the four axes' options are all combinations of the values.

    Raises
    ------
    PassbandError
        If a value is wrong, if only some of the axes are given, if a CSV file is given in addition
        to axes, or if the CSV file is wrong. The message has one line.
    """
    texts = {name: getattr(options, name) for name in MAIN_AXES}
    named = [name for name, text in texts.items() if text is not None]
    if options.conditions is not None:
        if named:
            option = _option(MAIN_AXES[named[0]])
            raise PassbandError(
                f"{option} = {texts[named[0]]!r}: must not be given together with --conditions"
            )
        return list(read_csv(options.conditions))
    if not named:
        return []
    for name, text in texts.items():
        if text is None:
            raise PassbandError(
                f"{_option(MAIN_AXES[name])} is missing; give all of "
                f"{', '.join(map(_option, MAIN_AXES.values()))}, or --conditions FILE.csv"
            )
    values = [
        [_number(axis, part, _option(axis)) for part in texts[name].split(",")]
        for name, axis in MAIN_AXES.items()
    ]
    number = math.prod(map(len, values))
    if number > MOST_CONDITIONS:
        raise PassbandError(
            f"{' × '.join(str(len(axis)) for axis in values)} values: {number:,} conditions; must "
            f"not exceed {MOST_CONDITIONS:,}"
        )
    return [Given(Condition(*combination)) for combination in product(*values)]


def read_csv(path: Path) -> Iterator[Given]:
    """Yield the conditions of a CSV file.

    The first line has the names of the columns, which are the keys of the axes in the
    configuration. Further columns are ignored.

    Raises
    ------
    PassbandError
        If the file is missing, empty or no CSV file, or if a column or a value is wrong. The
        message has one line and names the file and the line.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise PassbandError(f"{path}: is larger than {_MOST_BYTES // 10**6} MB")
        # A file that a spreadsheet program wrote may begin with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PassbandError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PassbandError(f"{path}: is no text in UTF-8; save the table as CSV") from None
    lines = csv.reader(text.splitlines(), skipinitialspace=True)
    try:
        yield from _rows(path, lines)
    except csv.Error as error:
        raise PassbandError(f"{path}, line {lines.line_num}: is no CSV: {error}") from None


def _rows(path: Path, lines) -> Iterator[Given]:
    head = [name.strip() for name in next(lines, [])]
    if not any(head):
        raise PassbandError(f"{path}: is empty; the first line must be {','.join(MAIN_AXES)}")
    for name in MAIN_AXES:
        if head.count(name) != 1:
            problem = "has no column" if name not in head else "has two columns"
            raise PassbandError(
                f"{path}, line 1: {problem} {name}; the columns must be {', '.join(MAIN_AXES)}, "
                "with commas between them"
            )
    number = 0
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue  # an empty line
        where = f"{path}, line {lines.line_num}"
        if len(cells) != len(head):
            raise PassbandError(
                f"{where}: has {len(cells)} values; must have {len(head)}, as the first line"
            )
        texts = dict(zip(head, cells, strict=True))
        values = [
            _number(axis, texts[name], f"{where}: {name}") for name, axis in MAIN_AXES.items()
        ]
        number += 1
        if number > MOST_CONDITIONS:
            raise PassbandError(f"{where}: must not exceed {MOST_CONDITIONS:,} conditions")
        yield Given(Condition(*values), where)
    if not number:
        raise PassbandError(f"{path}: has no condition below its first line")


def check_conditions(study: Study, given: list[Given]) -> list[Condition]:
    """Return the conditions after checking that the study's images can be formed under them.

    Raises
    ------
    PassbandError
        If the images of a condition cannot be formed. The message has one line.
    """
    for one in given:
        try:
            study.check_condition(one.condition)
        except ValueError as error:
            where = f"{one.where}: " if one.where else ""
            raise PassbandError(f"{where}{error}") from None
    return [one.condition for one in given]


def _option(axis: Axis) -> str:
    return f"--{axis.name.replace('_', '-')}"


def _number(axis: Axis, text: str, where: str) -> float:
    """Return the value of an axis from its text."""
    allowed = f"between {axis.minimum} and {axis.maximum}"
    try:
        value = float(text)
    except ValueError:
        raise PassbandError(
            f"{where} = {text.strip()!r}: must be a number {allowed}, in {axis.unit} and without "
            "the unit"
        ) from None
    if not axis.minimum <= value <= axis.maximum:
        raise PassbandError(f"{where} = {text.strip()}: must be {allowed} {axis.unit}")
    if abs(value - axis.canonical(value)) > 1e-9 * max(1, abs(value)):
        raise PassbandError(
            f"{where} = {text.strip()}: is finer than the axis's resolution of "
            f"{10**-axis.decimals:g} {axis.unit}"
        )
    return value
