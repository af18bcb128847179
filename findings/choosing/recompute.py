"""Compares the page with choices.csv, and computes ranking and choice of few networks again."""

from collections.abc import Iterator

from findings.choosing import choices, recommend
from findings.choosing.next import PILOT, SHARES, Matrix, compared
from findings.pages import compare

PAGE = choices.FOLDER / "README.md"


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    yield compare(PAGE, "choices on further structures, from choices.csv", choices.summary())
    yield compare(PAGE, "ranking with few training conditions", _table(recommend.rank()))
    rows = compared(Matrix(PILOT, "gold"), SHARES[:1])
    yield compare(PAGE, "networks that next chooses, a tenth", "\n".join(rows))
    yield "skipped: networks that next chooses, other rows: two minutes, findings.choosing.next"


def _table(rows: Iterator[list[str]]) -> str:
    """Return rows as those of a table in Markdown, without the line below the head."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
