"""Draws that are committed, what networks of drawn conditions did, and the commands of part 2."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from findings.second_lock import locked, networks
from findings.second_lock.conditions import points
from findings.twelve_thousand import history, pieces
from passband import PassbandError
from passband.grid import Axes, Condition
from passband.seeds import generator
from passband.words import listed

FOLDER = locked.FOLDER
RESULTS = Path("results/second-lock")
#: A part's commands, which are given the part k/n of the conditions.
Commands = Mapping[str, Callable[[tuple[int, int]], None]]


# ── Draws ────────────────────────────────────────────────────────────────────────────────────────


def check_committed(path: Path) -> None:
    """Raise PassbandError if a file is not that of the last commit."""
    if not path.exists():
        raise PassbandError(f"{path}: is missing")
    try:
        committed = history.git("rev-parse", f"HEAD:{path}")
    except PassbandError:
        raise PassbandError(f"{path}: is not committed") from None
    if committed != history.git("hash-object", path):
        raise PassbandError(f"{path}: differs from the committed file")


def random(digest: str, name: str) -> np.random.Generator:
    """Return the generator of a draw from the protocol with this digest."""
    return generator("second lock", digest, name)


def drawn(
    digest: str, name: str, number: int, ranges: Mapping[str, tuple[float, float]]
) -> list[Condition]:
    """Return a named draw of conditions inside ranges."""
    return [Axes.main.condition(point) for point in points(random(digest, name), number, ranges)]


def write_draw(path: Path, draw: Callable[[str], dict[str, Any]]) -> None:
    """Write what is drawn from the protocol, with the protocol's digest."""
    digest = locked.digest()
    content = {"protocol": digest} | draw(digest)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_draw(path: Path, draw: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Return what was drawn.

    Raises:
        PassbandError: If the file is not the committed one, or not drawn from the protocol.
    """
    digest = locked.digest()
    check_committed(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.pop("protocol") != digest or found != draw(digest):
        raise PassbandError(f"{path}: was not drawn from {locked.PROTOCOL}")
    return found


# ── What networks did ────────────────────────────────────────────────────────────────────────────


def home_of(arm: str) -> str:
    """Return the name of the array with an arm's Dice at home."""
    return f"{arm}, home"


def as_arrays(arm: str, read: xr.Dataset) -> dict[str, np.ndarray]:
    """Return an arm's Dice, means over structures in units of 1/65535, by the names of arrays."""
    return {
        arm: locked.in_units(read.dice.mean("structure").values),
        home_of(arm): locked.in_units(read.home_dice.mean("structure").values),
    }


def made(read: Iterable[xr.Dataset], folder: Path) -> dict[str, Any]:
    """Return the processor of networks, and the seconds of all runs in their folder.

    Raises:
        PassbandError: If they are of several processors.
    """
    kinds = sorted({each.attrs["processor"] for each in read})
    if len(kinds) > 1:
        raise PassbandError(f"{folder}: networks of {listed(kinds)}; must be of one processor")
    runs = pieces.read(folder / networks.COSTS)
    return {"processor": kinds[0], "seconds": round(sum(float(run["seconds"]) for run in runs), 1)}


# ── Commands ─────────────────────────────────────────────────────────────────────────────────────


def run(module: str, commands: Commands, arguments: Sequence[str]) -> None:
    """Run one of a part's commands; a mistake is one line."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("command", metavar="COMMAND", help=listed([*commands], "or"))
    parser.add_argument("--part", default="0/1", metavar="K/N", help="of the conditions to train")
    given = parser.parse_args(arguments)
    try:
        if given.command not in commands:
            raise PassbandError(f"{given.command}: must be {listed([*commands], 'or')}")
        commands[given.command](networks.part(given.part))
    except PassbandError as error:
        sys.exit(str(error))
