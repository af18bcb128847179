"""Finds the particles of simulated structures again, and compares the pages."""

from collections.abc import Iterator
from pathlib import Path

from findings.pages import compare
from findings.particles.particles import OF_SETS, sets
from passband.reports import markdown

PAGE = Path("findings/particles/README.md")
PREDICT = Path("docs/predict.md")
#: Two processors differed by 0.004 in an F1 score.
WITHIN = 0.02


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    rows = [*sets("judging")]
    yield compare(PAGE, "sets of touching particles", markdown.table(OF_SETS, rows), within=WITHIN)
    for column, name in ((1, "particles"), (2, "whole regions")):
        values = [cells[column].partition(" ")[0] for cells in rows]
        yield compare(PREDICT, f"F1 of {name}", "{}, {} and {}".format(*values), within=WITHIN)
    yield "skipped: networks of a study: frozen at version 0.1.0"
