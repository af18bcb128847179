"""Values with their intervals, for a reader."""

import numpy as np
import pytest
import xarray as xr

from passband.reports import markdown


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.85, 0.81, 0.884), "0.85 (0.81 to 0.88)"),
        ((-0.001, -0.03, -0.004), "0.00 (-0.03 to 0.00)"),
        ((np.nan, np.nan, np.nan), "–"),
        ((-0.001, np.nan, np.nan), "0.00"),  # without a bootstrap
    ],
)
def test_an_interval_for_a_reader(values, text):
    of = xr.Dataset({"r2": values[0], "r2_interval": ("bound", list(values[1:]))})
    assert markdown.interval(of, "r2") == text
