"""The two means of a matrix over its pairs of different conditions, i ≠ j.

* The **mean over pairs**: each pair with a value counts once.
* The **mean over rows**: each row's values are averaged over j, and then all rows. So each training
  condition counts once, also one whose own condition is no test condition, which has a pair more.

They are equal if all rows have the same number of pairs. The page's numbers are means over pairs
(:mod:`passband.reports.page.numbers`); tables of training conditions and matrices are over rows.
"""

import numpy as np
import xarray as xr


def of_rows(values: xr.DataArray) -> np.ndarray:
    """Return the mean of each row over the other conditions, (train,); NaN if none has a value.

    Args:
        values: (train, test), such as `gap_test`.
    """
    return values.where(values.train != values.test).mean("test").values


def over_rows(rows: np.ndarray) -> float:
    """Return the mean of rows (train,) that have a value, or NaN."""
    known = rows[np.isfinite(rows)]
    return float(known.mean()) if len(known) else np.nan
