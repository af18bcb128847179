"""The page has the numbers that are computed again."""

import pytest

from findings.choosing import recompute
from passband import PassbandError

ROW = "| 24 | 0.9058 (0.8991 to 0.9121) | 0.0095 (0.0060 to 0.0138) | 0.0028 (0.0015 to 0.0041) |"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A copy of the page, with what takes long left out of what is compared."""
    copy = tmp_path / "README.md"
    copy.write_text(recompute.PAGE.read_text())
    monkeypatch.setattr(recompute, "PAGE", copy)
    cells = [cell.strip() for cell in ROW.strip("|").split("|")]
    monkeypatch.setattr(recompute.recommend, "rank", lambda: iter([cells]))
    monkeypatch.setattr(recompute, "compared", lambda *_: iter(["| 14 (10%) | 0.0837 ± 0.0062 |"]))
    return copy


def test_what_is_computed_again_is_on_the_page_and_the_rest_is_named(page):
    lines = list(recompute.recompute())
    assert [line.partition(": ")[0] == "skipped" for line in lines] == 3 * [False] + [True]
    assert lines[1].endswith("ranking with few training conditions: 10 numbers")


def test_a_number_that_differs_is_named(page):
    page.write_text(page.read_text().replace("0.0095 (0.0060", "0.0195 (0.0060"))
    with pytest.raises(PassbandError, match=r"ranking with few .* the page has '\| 24 \| 0.9058.*"):
        list(recompute.recompute())
