"""The explorer of a study, or a page that says why there is none."""

import pytest
from finished_study import small_study

from passband import PassbandError
from passband.answers import explorer_page
from passband.results import Results
from passband.storage import StoreError


@pytest.fixture
def results(tmp_path) -> Results:
    folder = tmp_path / "results" / "tiny"
    folder.mkdir(parents=True)
    return Results(small_study(), folder)


def without(monkeypatch, error: Exception) -> None:
    def page(*_) -> str:
        raise error

    monkeypatch.setattr(explorer_page, "page", page)


def test_a_page_says_why_a_study_has_no_explorer(results, monkeypatch):
    without(monkeypatch, PassbandError("a <study> that is too small"))
    reason = explorer_page.write(results, always=True)
    assert reason == "a <study> that is too small"
    text = (results.folder / "explorer.html").read_text()
    assert "There is no explorer of this study: a &lt;study&gt; that is too small." in text
    assert 'href="report.html"' in text


def test_the_command_prints_the_reason_and_leaves_the_page_of_before(results, monkeypatch):
    page = results.folder / "explorer.html"
    page.write_text("before")
    without(monkeypatch, PassbandError("too small"))
    with pytest.raises(PassbandError, match=r"^too small$"):
        explorer_page.write(results)
    without(monkeypatch, StoreError("table.zarr is damaged"))
    with pytest.raises(StoreError):  # the job then sets the store aside
        explorer_page.write(results, always=True)
    assert page.read_text() == "before"
    assert list(results.folder.iterdir()) == [page]
