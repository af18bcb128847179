"""Options of conditions."""

import argparse
import math
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from passband.axes import AXES, MAIN_AXES, Axis
from passband.commands.arguments import add_axes, axes_given
from passband.config.given_conditions import MOST
from passband.errors import PassbandError


def add_conditions(command: argparse.ArgumentParser) -> None:
    """Add the options of axes and the option `--conditions` to a command."""
    add_axes(command, "a value, or several values with commas between them")
    command.add_argument(
        "--conditions",
        type=Path,
        metavar="FILE.csv",
        help=f"a CSV file with a condition in each line, and the columns {', '.join(MAIN_AXES)}; "
        "further axes can be further columns",
    )


def given_conditions(options: argparse.Namespace) -> Path | list[Mapping[str, float]]:
    """Return the CSV file, or the conditions that the options of axes give.

    They are all combinations of the values.

    Raises:
        PassbandError: If there is none, or if a value is missing or wrong.
    """
    texts = axes_given(options)
    named = [name for name, text in texts.items() if text is not None]
    every = ", ".join(axis.option for axis in MAIN_AXES.values())
    if options.conditions is not None:
        if named:
            raise PassbandError(
                f"{AXES[named[0]].option} = {texts[named[0]]!r}: must not be given together "
                "with --conditions"
            )
        return options.conditions
    if not named:
        raise PassbandError(f"no condition is given; give {every}, or --conditions FILE.csv")
    for name, axis in MAIN_AXES.items():
        if texts[name] is None:
            raise PassbandError(
                f"{axis.option} is missing; give all of {every}, or --conditions FILE.csv"
            )
    values = {
        name: [_parsed(axis, part) for part in texts[name].split(",")]
        for name, axis in AXES.items()
        if texts[name] is not None
    }
    number = math.prod(map(len, values.values()))
    if number > MOST:
        raise PassbandError(
            f"{' × '.join(str(len(axis)) for axis in values.values())} values: {number:,} "
            f"conditions; must not exceed {MOST:,}"
        )
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


def _parsed(axis: Axis, text: str) -> float:
    """Return the value of an axis from a part of its option."""
    try:
        return axis.parse(text, f"{axis.option} = {text.strip()!r}")
    except ValueError as error:
        raise PassbandError(str(error)) from None
