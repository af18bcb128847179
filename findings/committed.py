"""Writes tables that are committed, and compares them with what was computed again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from math import isnan
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from passband import PassbandError

#: What tables that are committed with four digits after the point are compared within.
DIGITS = 1e-4


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table with four digits after the point."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")


def table(path: Path, made: pd.DataFrame, keys: Sequence[str], tolerance: float = DIGITS) -> str:
    """Compare the committed rows that a table computed again has, and return a line about them.

    Args:
        path: The committed table.
        keys: The columns that name a row.
        tolerance: Largest difference of two numbers.

    Raises:
        PassbandError: If a number differs, or a row or a column is missing.
    """
    # Through text, as the committed table was, so that columns have the same types.
    again = pd.read_csv(StringIO(made.to_csv(index=False)))
    return same(path, _cells(pd.read_csv(path), keys), _cells(again, keys), tolerance)


def _cells(frame: pd.DataFrame, keys: Sequence[str]) -> dict[str, Any]:
    rows = {", ".join(_name(row[key]) for key in keys): row for row in frame.to_dict("records")}
    return {
        f"{name}: {column}": row[column]
        for name, row in rows.items()
        for column in row
        if column not in keys
    }


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, Real) else str(value)


def document(path: Path, made: Mapping[str, Any], tolerance: float) -> str:
    """Compare what is made of a committed JSON file, as :func:`table` does.

    Raises:
        PassbandError: If a number differs, or a key is missing.
    """
    committed = json.loads(path.read_text(encoding="utf-8"))
    again = json.loads(json.dumps(made))
    return same(path, dict(_leaves(committed)), dict(_leaves(again)), tolerance)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from _leaves(each, f"{name}.{key}" if name else f"{key}")
    else:
        yield name, value


def same(
    path: Path, committed: Mapping[str, Any], again: Mapping[str, Any], tolerance: float
) -> str:
    """Compare values by their names; what `again` lacks is not compared.

    Raises:
        PassbandError: If a value differs, or is not committed.
    """
    number = 0
    of = sum(map(_is_number, committed.values()))
    for name, new in again.items():
        if name not in committed:
            raise PassbandError(f"{path}: has no {name}, computed again: {new}")
        old = committed[name]
        if _is_number(new) and _is_number(old):
            number += 1
            is_same = abs(new - old) <= tolerance or (isnan(new) and isnan(old))
        else:
            is_same = new == old
        if not is_same:
            raise PassbandError(f"{path}: {name} = {old}, computed again: {new}")
    numbers = f"{number:,} numbers" if number == of else f"{number:,} of {of:,} numbers"
    return f"{path}: {numbers} within {tolerance:g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
