"""Data of figures that a page leaves out."""

from matrices import GRID
from report_content import make_content, make_stores

from passband.reports import page, page_data


def test_a_table_that_is_too_large_is_not_in_the_page(monkeypatch):
    monkeypatch.setattr(page_data, "MOST_VALUES", 1000)
    text = page.render(make_content())
    assert 'id="data-matrix.csv"' not in text
    assert "too large for this page; they are in the stores under results/tiny" in text


def test_information_of_other_conditions_is_not_in_the_page():
    """The grid lost a condition, and only `information.zarr` was made again."""
    _, metrics, information = make_stores(GRID)
    assert page_data.covers(information, metrics)
    for side in ("train", "test"):
        newer = information.isel({side: slice(1, None)})
        assert not page_data.covers(newer, metrics)
        text = page.render(make_content(information=newer))
        assert 'id="data-metrics.csv"' not in text
        assert 'id="data-matrix.csv"' in text
    more = page.render(make_content(metrics=metrics.isel(train=slice(1, None))))
    assert 'id="data-metrics.csv"' in more
