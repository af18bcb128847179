"""The mean over rows and the mean over pairs, with values that are known."""

import numpy as np
import pytest
import xarray as xr

from passband.reports import means


def test_each_row_counts_once_and_its_own_condition_does_not():
    """Row a has one pair and row c, whose condition is no test condition, has two."""
    values = xr.DataArray(
        [[9.0, 1.0], [2.0, 9.0], [3.0, 5.0], [np.nan, np.nan]],
        {"train": ["a", "b", "c", "d"], "test": ["a", "b"]},
    )
    rows = means.of_rows(values)
    assert rows[:3].tolist() == [1, 2, 4]
    assert np.isnan(rows[3])
    assert means.over_rows(rows) == pytest.approx((1 + 2 + 4) / 3)
    assert np.isnan(means.over_rows(rows[3:]))
