"""Pages of findings are compared with what is computed again."""

import re

import pytest

from findings.pages import Page, compare
from passband import PassbandError

PAGE = """# A page

| line | R² | Dice |
|---|---|---|
| T(q), 4 | 0.977 | 0.91 (0.90 to 0.92) |
| scaled, 4 | 0.956 | 0.89 |

Of 1,680 networks, the best loses 0.004
(−0.002 to 0.006), or 4.5%.
"""
TABLE = """| line | R² | Dice |
|---|---|---|
| T(q), 4 | 0.977 | 0.91 (0.90 to 0.92) |"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_equal_numbers_are_counted_also_across_lines(page):
    assert compare(page, "table", TABLE) == f"{page}: table: 5 numbers"
    text = "Of 1,680 networks, the best loses 0.004 (−0.002 to 0.006)"
    assert compare(page, "loss", text).endswith("loss: 4 numbers")


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ("| scaled, 4 | 0.956 | 0.88 |", "| scaled, 4 | 0.956 | 0.89 |"),
        ("loses 0.004 (0.002 to 0.006)", "loses 0.004 (−0.002 to 0.006)"),
        ("Of 168 networks", "Of 1,680 networks"),  # a number is not a part of a longer one
        ("or 4.51%", "or 4.5%"),
    ],
)
def test_another_number_is_named_beside_that_of_the_page(page, said, there):
    words = f"{page}: name: the page has {there!r}, computed again: {said!r}"
    with pytest.raises(PassbandError, match=re.escape(words)):
        compare(page, "name", said)


def test_numbers_may_differ_by_what_processors_do(page):
    text = "Of 1,690 networks, the best loses 0.012 (−0.012 to 0.006)"
    assert compare(page, "loss", text, within=0.01).endswith("loss: 4 numbers, within 0.01")
    with pytest.raises(PassbandError, match=r"0\.015"):
        compare(page, "loss", "loses 0.015", within=0.01)


def test_the_nearest_of_several_texts_is_named(page):
    page.write_text("| a 1 | 0.5 |\n| a 2 | 0.7 |\n")
    with pytest.raises(PassbandError, match=re.escape("the page has '| a 2 | 0.7 |'")):
        compare(page, "name", "| a 2 | 0.8 |")


def test_words_that_the_page_lacks_are_named(page):
    with pytest.raises(PassbandError, match=re.escape("name: the page lacks '| trees | 0.9 |'")):
        compare(page, "name", "| trees | 0.9 |")


def test_a_page_is_filled_and_compared_with_its_sentences_and_those_of_others(tmp_path):
    path = tmp_path / "page.md"
    other = tmp_path / "other.md"
    path.write_text("# Title\n\n<!-- shares begin -->\nearlier\n<!-- shares end -->\n\nText.\n")
    other.write_text("A half (0.5) is said here.\n")

    def tables(found):
        return {"shares": f"| share |\n|---|\n| {found} |"}

    def statements(found):
        return {other: [f"A half ({found})"]}

    of = Page("part 9", path, tables, statements)
    of.fill(lambda: 0.5)
    text = path.read_text()
    assert text.splitlines()[4:7] == ["| share |", "|---|", "| 0.5 |"]
    assert text.startswith("# Title\n")
    assert text.endswith("\n\nText.\n")
    of.fill(lambda: 0.5)
    assert path.read_text() == text
    assert len(list(of.compared(0.5))) == 2
    with pytest.raises(PassbandError, match=re.escape("shares: the page has '| 0.5 |'")):
        list(of.compared(0.6))
    other.write_text("A half (0.4) is said here.\n")
    with pytest.raises(PassbandError, match=re.escape("part 9: the page has 'A half (0.4)'")):
        list(of.compared(0.5))


def test_a_page_that_cannot_be_filled_is_one_line(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# Title\n")
    of = Page("part 9", path, lambda found: {"shares": "text"})
    with pytest.raises(SystemExit, match="lacks <!-- shares begin -->"):
        of.fill(lambda: 0.5)
    assert path.read_text() == "# Title\n"
