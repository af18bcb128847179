"""Markdown tables, and values with their intervals as text."""

from collections.abc import Iterable

import numpy as np
import xarray as xr

#: Text in place of a value that does not exist.
NONE = "–"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table with a line for each row, without a line break at its end."""
    head = list(head)
    lines = [_row(head), "|---" * len(head) + "|", *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def interval(dataset: xr.Dataset, name: str) -> str:
    """Return a value and its interval as text, such as ``0.85 (0.81 to 0.88)``; a dash for NaN.

    A value that is rounded to 0 has no minus sign. An interval that is NaN is left out.

    Args:
        dataset: Dataset with the scalar `name` and the two values `{name}_interval`.
        name: The name of the variable that has the value.
    """
    if dataset[name].isnull():
        return NONE
    low, high = dataset[f"{name}_interval"].values
    if np.isnan([low, high]).any():
        return f"{float(dataset[name]):z.2f}"
    return f"{float(dataset[name]):z.2f} ({low:z.2f} to {high:z.2f})"


def number(value: float) -> str:
    return f"{value:z.3f}" if np.isfinite(value) else NONE


def mean_and_deviation(values: np.ndarray) -> str:
    """Return the mean of values ± the standard deviation of the values (ddof = 1), as text.

    For a single value, only the value is returned. Without values, a dash is returned.
    """
    if not len(values):
        return NONE
    deviation = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():z.3f}{deviation}"
