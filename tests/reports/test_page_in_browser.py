"""The report in a real Chromium: it loads nothing, makes no error, and saves its data."""

import csv

import numpy as np
import pytest
from matrices import GRID
from report_content import make_content, make_stores

from passband.reports import page

browser = pytest.importorskip("browser")


@pytest.mark.slow
def test_a_click_saves_the_data_that_the_store_has(tmp_path):
    browser.require()
    file = tmp_path / "report.html"
    file.write_text(page.render(make_content()), encoding="utf-8")
    with browser.opened(file) as shown:
        shown.evaluate("document.querySelector('[data-source=\"data-matrix.csv\"]').click()")
        with shown.download("tiny-matrix.csv").open(encoding="utf-8") as saved:
            rows = list(csv.DictReader(saved))
        _, metrics, _ = make_stores(GRID)
        found = [float(row["dice"]) for row in rows]
        np.testing.assert_allclose(found, metrics.dice.values.ravel(), rtol=1e-4)
        shown.resize(390, 844)
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390
        assert shown.evaluate("getComputedStyle(document.querySelector('svg.wide')).display") == (
            "none"
        )
        assert not shown.problems
