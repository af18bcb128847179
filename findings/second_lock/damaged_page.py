"""Writes the tables of damaged.md, and compares the page and the result with their files.

python -m findings.second_lock.damaged_page  # once the lock is open
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from findings import committed, pages
from findings.second_lock.damage import DOSES
from findings.second_lock.damaged import KINDS, LOCK, result
from findings.second_lock.locked import FOLDER
from findings.twelve_thousand.locked import UNIT, read_arrays
from passband import PassbandError
from passband.reports import markdown

PAGE = FOLDER / "damaged.md"
MARKS = "<!-- results begin -->", "<!-- results end -->"
#: How much of a result may differ, which follows from Dice as it is stored.
ROUNDING = 1e-9
LINES = {
    "B": "B, the patch's own spectrum",
    "A": "A, the lens",
    "raw": "raw",
    "dose": "dose",
    "own mean": "each network's own mean",
}
#: The values of a score, by the words of a column.
SCORES = {"ρ of all cells": "rho", "ρ₁ of networks": "rho1", "absolute error": "error"}


def tables(found: Mapping[str, Any]) -> list[str]:
    """Return the claims, the scores of lines, and Dice and ρ by patch, as Markdown.

    Args:
        found: The result.
    """
    verdicts = [[claim, f"**{each['verdict']}**"] for claim, each in found["claims"].items()]
    rows = [
        [words, *(_interval(found["lines"][line][score]) for score in SCORES.values())]
        for line, words in LINES.items()
    ]
    rows.append(["mean Dice of the other patches", "–", "–", _interval(found["constant"])])
    patches = found["patches"]
    of_patch = [
        [f"Dice, {arm}, dose × {dose:g}", *(f"{found['dice'][p][k][i]:.3f}" for p in patches)]
        for k, arm in enumerate(KINDS)
        for i, dose in enumerate(DOSES)
    ]
    of_patch += [
        [f"ρ of {line}", *(f"{x:.2f}" for x in found["lines"][line]["rho"]["patches"])]
        for line in LINES
    ]
    of_patch += [
        [f"defocus and dose of {line}", *(_pair(of[patch]) for patch in patches)]
        for line, of in found["pairs"].items()
    ]
    return [
        markdown.table(["claim", "verdict"], verdicts),
        markdown.table(["line", *SCORES], rows),
        markdown.table(["", *patches], of_patch),
    ]


def _interval(of: Mapping[str, float]) -> str:
    return f"{of['value']:z.3f} ({of['low']:z.3f} to {of['high']:z.3f})"


def _pair(of: list[float]) -> str:
    return f"{of[0]:g} nm, {of[1]:g} e/Å²"


def read() -> dict[str, Any]:
    """Return the result.

    Raises:
        PassbandError: If the lock is not open.
    """
    if not LOCK.result.exists():
        raise PassbandError(f"{LOCK.result}: is missing; the lock is not open")
    return json.loads(LOCK.result.read_text(encoding="utf-8"))


def recompute() -> Iterator[str]:
    """Yield a line for the result, which follows from its files, and for each table of the page.

    Raises:
        PassbandError: If a number differs.
    """
    truth = {patch: D / UNIT for patch, D in read_arrays(LOCK.truth).items()}
    again = result(LOCK.read(), truth)
    yield committed.document(LOCK.result, again, ROUNDING)
    for name, text in zip(("claims", "lines", "patches"), tables(again), strict=True):
        yield pages.compare(PAGE, name, text)


def main() -> int:
    """Write the tables, and return the exit status."""
    try:
        text = "\n\n".join(tables(read()))
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1
    old = PAGE.read_text(encoding="utf-8")
    begin, end = (old.index(mark) for mark in MARKS)
    new = f"{old[:begin]}{MARKS[0]}\n\n{text}\n\n{old[end:]}"
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
