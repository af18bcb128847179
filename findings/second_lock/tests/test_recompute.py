"""What is computed again of the second lock, and what is found on its pages."""

from dataclasses import replace

import numpy as np
import pytest

from findings.pages import compare
from findings.second_lock import damaged_page, expensive_page, lens_page, particle_page
from findings.second_lock.locked import Lock
from findings.second_lock.recompute import committed_in_order
from passband import PassbandError

LOCK = Lock("part9")


def test_a_part_says_how_far_it_is_and_its_files_are_those_committed(protocol, commit):
    assert list(committed_in_order("part 9", LOCK)) == ["skipped: part 9 has no predictions yet"]
    LOCK.write({"A": np.array([[0.5]])})
    commit()
    *_, order, last = committed_in_order("part 9", LOCK)
    assert order.startswith("committed in this order: protocol.md, then ")
    assert last == "skipped: part 9 is not opened yet"
    LOCK.open({"dice": np.array([0.25])}, {"primary": 1})
    commit()
    *_, order = committed_in_order("part 9", LOCK)
    assert order.endswith("truth.npz and locked/part9/result.json")

    np.savez_compressed(LOCK.truth, dice=np.array([7], np.uint16))
    with pytest.raises(PassbandError, match=r"truth\.npz: differs from the file of "):
        list(committed_in_order("part 9", LOCK))
    commit()
    with pytest.raises(PassbandError, match=r"truth\.npz: was committed in .*, and changed in "):
        list(committed_in_order("part 9", LOCK))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("| **A − B, primary** | −0.0", "| **A − B, primary** | −0.1", "differences"),
        ("for A and 0.891 for B", "for A and 0.892 for B", "part 1"),
        ("0.42 of 1.2 for part 1", "0.32 of 1.2 for part 1", "part 1"),
    ],
)
def test_a_changed_number_on_the_page_is_found(old, new, message, tmp_path, monkeypatch):
    text = lens_page.PATH.read_text(encoding="utf-8")
    assert old in text
    page = tmp_path / "README.md"
    monkeypatch.setattr(lens_page, "PATH", page)
    found = lens_page.LOCK.found()
    of = replace(lens_page.PAGE, path=page, scored=lambda arrays: found)
    page.write_text(text, encoding="utf-8")
    assert len(list(of.recompute())) > 5
    page.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(PassbandError, match=f"{message}: the page has"):
        list(of.recompute())


def test_the_words_of_the_pages_follow_the_verdict():
    found = lens_page.LOCK.found()
    found["primary"]["verdict"] = "equal"
    assert "**equal**" in lens_page.differences(found)
    assert "It is equal" in lens_page.statements(found)[lens_page.PATH]


def moved(value):
    """A result with other numbers."""
    if isinstance(value, dict):
        return {key: moved(each) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each) for each in value]
    return value + 0.05 if isinstance(value, float) else value


@pytest.mark.parametrize(
    "page", [lens_page, expensive_page, particle_page, damaged_page], ids=lambda m: m.PAGE.name
)
def test_every_sentence_has_numbers_of_the_result(page):
    found = page.LOCK.found()
    said = page.statements(found)
    again = page.statements(moved(found))
    for path, texts in said.items():
        for text, other in zip(texts, again[path], strict=True):
            compare(path, page.PAGE.name, text)
            if text != other:
                with pytest.raises(PassbandError, match="the page has"):
                    compare(path, page.PAGE.name, other)
        assert again[path] != texts
