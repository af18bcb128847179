"""Compares the page with the table of scores."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from findings.heads import compare
from findings.pages import compare as compared
from findings.particles import sets
from passband import PassbandError
from passband.reports import markdown

PAGE = Path("findings/heads/README.md")
#: The head of the package.
USED = "votes"


def recompute() -> Iterator[str]:
    """Yield a line for each thing that was compared.

    Raises:
        PassbandError: If a number differs, or if the package has another head than the rule keeps.
    """
    table = pd.read_csv(compare.TABLE, dtype=str, keep_default_na=False)
    if (kept := compare.kept(table)) != USED:
        raise PassbandError(f"{compare.TABLE}: the rule keeps {kept}")
    yield f"{compare.TABLE}: the rule keeps {USED}"
    yield compared(PAGE, "scores", markdown.table(sets.COLUMNS, table.values.tolist()))
