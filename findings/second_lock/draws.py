"""Draws that are committed, and the one opening of parts that predict nothing."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from findings.second_lock import locked, networks
from findings.second_lock.conditions import points
from findings.twelve_thousand import history
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
    return [Axes.main.condition(each) for each in points(random(digest, name), number, ranges)]


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


# ── The opening ──────────────────────────────────────────────────────────────────────────────────


def check_closed(path: Path) -> None:
    """Raise PassbandError if there is a result already, here or in the history."""
    if path.exists() or history.git("log", "--all", "--format=%H", "--", path).strip():
        raise PassbandError(f"{path}: this part was opened before; its result stands")


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result, with the time, the commit and the protocol's digest."""
    head = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": history.git("rev-parse", "HEAD").strip(),
        "protocol": locked.digest(),
    }
    path.write_text(json.dumps(head | dict(result), indent=2) + "\n", encoding="utf-8")


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
