"""Compares the page with published.csv, and that file with the published tables if here."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from findings import committed
from findings.pages import compare
from findings.published_tables.published_tables import OUTPUT, SOURCE, computed, lacking, table

PAGE = Path("findings/published_tables/README.md")


def recompute(source: Path = SOURCE) -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    yield compare(PAGE, f"correlations, from {OUTPUT.name}", table(pd.read_csv(OUTPUT)))
    if file := lacking(source):
        yield f"skipped: correlations, and both directions of the dose: needs {file}"
        return
    rows, directions = computed(source)
    yield committed.table(OUTPUT, rows, ["predictor", "zeros_A"])
    for line in directions.splitlines():
        yield compare(PAGE, "directions of the dose", line)
