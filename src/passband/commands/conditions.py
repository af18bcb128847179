"""Conditions that a user gives to a command, as options or in a CSV file."""

import argparse
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from passband import PassbandError
from passband.axes import AXES, FURTHER_AXES, MAIN_AXES, Axis
from passband.commands.arguments import option, own_value
from passband.config import Study
from passband.grid import Condition
from passband.storage import integrity

#: The largest number of conditions that a command accepts.
MOST_CONDITIONS = 100_000
#: The largest size of a CSV file [bytes].
_MOST_BYTES = 10**8


@dataclass(frozen=True)
class Given:
    """A condition, and the place where the user gave the condition.

    Attributes:
        condition: The condition, with the given values of further axes.
        where: File and line of the condition; empty if the condition was given by options.
    """

    condition: Condition
    where: str = ""


def add_conditions(command: argparse.ArgumentParser) -> None:
    """Add an option for each axis and the option `--conditions` to a command."""
    for axis in AXES.values():
        command.add_argument(
            option(axis),
            dest=axis.name,
            metavar="VALUE" if axis.unit == "1" else axis.unit,
            help=f"{axis.label} [{axis.unit}]: a value, or several values with commas between them"
            f"{own_value(axis)}",
        )
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

    Raises:
        PassbandError: If a value is wrong, if only some of the axes are given, if a CSV file is
            given in addition to axes, or if the CSV file is wrong. The message has one line.
    """
    texts = {name: getattr(options, name) for name in AXES}
    named = [name for name, text in texts.items() if text is not None]
    if options.conditions is not None:
        if named:
            raise PassbandError(
                f"{option(AXES[named[0]])} = {texts[named[0]]!r}: must not be given together "
                "with --conditions"
            )
        return list(read_csv(options.conditions))
    if not named:
        return []
    for name, axis in MAIN_AXES.items():
        if texts[name] is None:
            raise PassbandError(
                f"{option(axis)} is missing; give all of "
                f"{', '.join(map(option, MAIN_AXES.values()))}, or --conditions FILE.csv"
            )
    values = {
        name: [_number(axis, part, option(axis)) for part in texts[name].split(",")]
        for name, axis in AXES.items()
        if texts[name] is not None
    }
    number = math.prod(map(len, values.values()))
    if number > MOST_CONDITIONS:
        raise PassbandError(
            f"{' × '.join(str(len(axis)) for axis in values.values())} values: {number:,} "
            f"conditions; must not exceed {MOST_CONDITIONS:,}"
        )
    return [
        Given(Condition.of(dict(zip(values, combination, strict=True))))
        for combination in product(*values.values())
    ]


def read_csv(path: Path) -> Iterator[Given]:
    """Yield the conditions of a CSV file.

    The first line has the names of the columns, which are the keys of the axes in the
    configuration. A further axis has the study's own value if there is no such column. Other
    columns are ignored.

    Raises:
        PassbandError: If the file is missing, empty or no CSV file, or if a column or a value is
            wrong. The message has one line and names the file and the line.
    """
    integrity.check_regular(path)
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
    for name in AXES:
        if head.count(name) > 1 or (name in MAIN_AXES and name not in head):
            problem = "has no column" if name not in head else "has two columns"
            raise PassbandError(
                f"{path}, line 1: {problem} {name}; the columns must be {', '.join(MAIN_AXES)}, "
                f"with commas between them; also allowed: {', '.join(FURTHER_AXES)}"
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
        values = {
            name: _number(axis, texts[name], f"{where}: {name}")
            for name, axis in AXES.items()
            if name in texts
        }
        number += 1
        if number > MOST_CONDITIONS:
            raise PassbandError(f"{where}: must not exceed {MOST_CONDITIONS:,} conditions")
        yield Given(Condition.of(values), where)
    if not number:
        raise PassbandError(f"{path}: has no condition below its first line")


def check_conditions(study: Study, given: list[Given], split: str = "test") -> list[Condition]:
    """Return the conditions of a study, after checking that its images can be formed under them.

    The images are those of the structures of a split.

    Raises:
        PassbandError: If the images of a condition cannot be formed. The message has one line.
    """
    found, own = [], study.written_values
    for one in given:
        # A value that is the study's own value is not part of a condition's id.
        condition = Condition.of(one.condition.values(), own)
        try:
            study.check_condition(condition, split)
        except ValueError as error:
            where = f"{one.where}: " if one.where else ""
            raise PassbandError(f"{where}{error}") from None
        found.append(condition)
    return found


def _number(axis: Axis, text: str, where: str) -> float:
    """Return the value of an axis from its text."""
    allowed = f"between {axis.minimum} and {axis.maximum}"
    unit = "" if axis.unit == "1" else f", in {axis.unit} and without the unit"
    try:
        value = float(text)
    except ValueError:
        raise PassbandError(
            f"{where} = {text.strip()!r}: must be a number {allowed}{unit}"
        ) from None
    if not axis.minimum <= value <= axis.maximum:
        raise PassbandError(f"{where} = {text.strip()}: must be {axis.words(allowed)}")
    if abs(value - axis.canonical(value)) > 1e-9 * max(1, abs(value)):
        raise PassbandError(
            f"{where} = {text.strip()}: is finer than the axis's resolution of "
            f"{axis.words(f'{10**-axis.decimals:g}')}"
        )
    return value
