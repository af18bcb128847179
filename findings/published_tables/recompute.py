"""Compares the page with published.csv, and that file with the published tables if here."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from findings.pages import compare
from findings.published_tables.published_tables import OUTPUT, SOURCE, computed, lacking, table
from passband import PassbandError

PAGE = Path("findings/published_tables/README.md")


def recompute(source: Path = SOURCE) -> Iterator[str]:
    """Yield a line for each thing that was compared, or was not.

    Raises:
        PassbandError: If a number differs.
    """
    committed = pd.read_csv(OUTPUT)
    yield compare(PAGE, "correlations", table(committed))
    if file := lacking(source):
        yield f"skipped: correlations, and both directions of the dose: needs {file}"
        return
    rows, directions = computed(source)
    for name in rows.columns.drop(["data", "predictor"]):
        for predictor, old, new in zip(rows.predictor, committed[name], rows[name], strict=True):
            if old != new and not (pd.isna(old) and pd.isna(new)):
                raise PassbandError(f"{OUTPUT}: {predictor}: {name} = {old}, computed again: {new}")
    yield f"{OUTPUT}: {rows.shape[0]} rows, from {source}"
    for line in directions.splitlines():
        yield compare(PAGE, "directions of the dose", line)
