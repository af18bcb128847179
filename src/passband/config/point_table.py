"""Tables of points: conditions that a user lists in a CSV file, with a condition in each line."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from passband.axes import AXES, Axis
from passband.config.base import short
from passband.config.study_file import MOST_IN_LIST
from passband.console import escaped
from passband.storage.integrity import is_regular
from passband.words import listed

#: The largest size of a CSV file [bytes], for each point that it may have.
_BYTES_OF_POINT = 1000

#: What a message says about a path in a study.
_RELATIVE = ", relative to the study's file"

#: A number in digits that everybody reads in the same way. Python also reads ``1_000`` and the
#: digits of other scripts.
_PLAIN = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

#: Units by the ending of a column's name, with their size in a common unit. A column of the table
#: may have any unit of the group that has the unit of its axis.
_UNITS: tuple[dict[str, float], ...] = (
    {"A": 1.0, "nm": 10.0, "um": 1e4, "mm": 1e7},
    {"mrad": 1e-3, "rad": 1.0},
    {"e_per_A2": 1.0, "e_per_nm2": 0.01},
    {"kev": 1e3, "ev": 1.0},
    {"deg": 1.0},
    {"K": 1.0},
)


@dataclass(frozen=True)
class PointTable:
    """The points of a CSV file.

    Attributes:
        path: The path of the file, as it is given in the study.
        points: The value of each column in each line, by the key of the axis and in the axis's
            unit.
        lines: The number of each point's line. The first line of a file has the number 1.
        objection: The first number that is written in another way than a new study may write it, in
            a line; "" if there is none.
    """

    path: str
    points: list[dict[str, float]]
    lines: list[int]
    objection: str = ""

    @property
    def first_line(self) -> str:
        """The place of the names of columns, for messages."""
        return f"{_named(self.path)}: line 1"

    def where(self, number: int) -> str:
        """Return the place of a point, for messages."""
        return f"{_named(self.path)}: line {self.lines[number]}"


@dataclass(frozen=True)
class _Column:
    """A column of the table: its name, its axis, and the factor that converts to its unit."""

    name: str
    axis: Axis
    factor: float

    def value(self, text: str) -> float:
        """Return the value of a cell in the unit of the axis.

        Raises:
            ValueError: If the cell is no number, or if the axis does not allow the value.
        """
        said = f"{self.name} = {escaped(text.strip()) or 'nothing'}"
        return self.axis.parse(text, said, self.factor)

    def objection(self, text: str) -> str:
        """Return what is wrong with a cell that is no plain number, although it has a value."""
        return (
            f"{self.name} = {escaped(text.strip())}: must be written in the digits 0 to 9, such as "
            f"{self.value(text) / self.factor:.15g}"
        )


def read(
    path: str, folder: Path = Path(), most: int = MOST_IN_LIST, others: bool = False
) -> PointTable:
    """Return the points of a CSV file.

    The first line has the names of the columns, which are the keys of axes. A column may have
    another unit than its axis, if its name ends with this unit, such as ``cs_mm`` for ``cs_um``.

    Args:
        path: The path of the file, relative to the study's file.
        folder: The folder of the study's file.
        most: The largest number of points.
        others: Whether the table may have other columns, which are ignored, and equal lines.

    Raises:
        ValueError: If the file cannot be read, if a column is unknown or has an unknown unit, if an
            axis does not allow a value, if a point is listed twice, or if there are too many
            points. The message of one line names the file and the line.
    """
    text = _text(path, folder, most * _BYTES_OF_POINT, "" if others else _RELATIVE)
    rows = csv.reader(text.splitlines(), skipinitialspace=True, strict=True)
    points: list[dict[str, float]] = []
    lines: list[int] = []
    seen: dict[tuple, int] = {}
    objection = ""
    try:
        columns = _columns(next(rows, []), others)
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue  # an empty line
            if len(cells) != len(columns):
                raise ValueError(f"has {len(cells)} values; must have {len(columns)}, as line 1")
            if len(points) == most:
                raise ValueError(f"is point {most + 1:,}; must not exceed {most:,} points")
            given = [(c, cell) for c, cell in zip(columns, cells, strict=True) if c is not None]
            point = {column.axis.name: column.value(cell) for column, cell in given}
            for column, cell in given:
                if not (objection or _PLAIN.fullmatch(cell.strip())):
                    objection = f"{_named(path)}: line {rows.line_num}: {column.objection(cell)}"
            before = seen.setdefault(tuple(point.values()), rows.line_num)
            if before != rows.line_num and not others:
                raise ValueError(f"is the same point as line {before}; delete one of them")
            points.append(point)
            lines.append(rows.line_num)
    except (ValueError, csv.Error) as error:
        said = f"is no CSV: {error}" if isinstance(error, csv.Error) else error
        raise ValueError(f"{_named(path)}: line {max(1, rows.line_num)}: {said}") from None
    if not points:
        raise ValueError(f"{_named(path)}: has no point below its first line")
    return PointTable(path, points, lines, objection)


def _named(path: str) -> str:
    """Return a path as messages have it, which is cut only if it is no usual path."""
    text = repr(path)
    return text if len(text) <= 300 else f"{text[:297]}..."


def _text(path: str, folder: Path, most_bytes: int, relative: str) -> str:
    file = folder / path
    try:
        if not is_regular(file):
            what = "is no regular file" if file.exists() else "there is no such file"
            raise ValueError(f"{_named(path)}: {what}; give the path of a CSV file{relative}")
        with open(file, "rb") as opened:
            content = opened.read(most_bytes + 1)
    except OSError as error:
        raise ValueError(f"{_named(path)}: cannot be read: {error.strerror}") from None
    if len(content) > most_bytes:
        raise ValueError(f"{_named(path)}: is larger than {most_bytes // 10**6} MB")
    try:
        # A file that a spreadsheet program wrote may begin with a byte order mark.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{_named(path)}: line {line}: is not UTF-8; save the table as CSV in UTF-8"
        ) from None
    if "\x00" in text:
        raise ValueError(f"{_named(path)}: is binary; must be a table as CSV in UTF-8")
    return text


def _columns(head: list[str], others: bool) -> list[_Column | None]:
    """Return the columns that the first line names; None for another one if `others`."""
    names = [name.strip() for name in head]
    if not any(names):
        raise ValueError(f"is empty; must have names of columns such as {','.join([*AXES][:4])}")
    columns = [_column(name, others) for name in names]
    if others:  # beside an axis's own key, its value in another unit is one of the other columns
        own = {name for name in names if name in AXES}
        columns = [c and (c if c.name in own or c.axis.name not in own else None) for c in columns]
    axes = [column.axis.name for column in columns if column is not None]
    for name in axes:
        if axes.count(name) > 1:
            raise ValueError(f"has two columns for {name}; keep one of them")
    return columns


def _column(name: str, others: bool) -> _Column | None:
    if name in AXES:
        return _Column(name, AXES[name], 1.0)
    for axis in AXES.values():
        stem, unit, group = _stem_and_unit(axis.name)
        if name != stem and not name.startswith(f"{stem}_"):
            continue
        given = name.removeprefix(stem).removeprefix("_")
        if given in group:
            return _Column(name, axis, group[given] / group[unit])
        if others:
            return None
        known = listed([f"{stem}_{other}" for other in group], "or")
        what = f"unknown unit {short(given)}" if given else "no unit"
        raise ValueError(f"column {short(name)} has {what} in its name; allowed: {known}")
    if others:
        return None
    raise ValueError(f"unknown column {short(name)}; allowed: {', '.join(AXES)}")


def _stem_and_unit(name: str) -> tuple[str, str, dict[str, float]]:
    """Return an axis's key without its unit, its unit, and the units that it may have."""
    for group in _UNITS:
        for unit in group:
            if re.fullmatch(rf"\w+_{unit}", name):
                return name.removesuffix(f"_{unit}"), unit, group
    return name, "", {"": 1.0}
