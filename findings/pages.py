"""Writes tables into pages, and compares what a page says with what was computed again."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from passband import PassbandError

NUMBER = r"[-−+]?\d+(?:[.,]\d+)*"


def compare(page: Path, name: str, text: str, *, within: float = 0.0) -> str:
    """Return a line that says that a page has a text, with the same numbers.

    Line breaks of the page and of the text do not matter.

    Args:
        page: The page, in Markdown.
        name: What the text is, for the line and the message.
        text: A table in Markdown, whose rows are compared one by one, or a part of a sentence.
        within: How much numbers may differ, those above 1 relative to themselves. Networks round
            differently on another processor.

    Raises:
        PassbandError: If the page has other numbers in place of those of the text, or lacks it.
    """
    said = " ".join(page.read_text(encoding="utf-8").split())
    statements = text.splitlines() if text.startswith("|") else [text]
    for statement in (" ".join(each.split()) for each in statements):
        there = re.findall(NUMBER.join(map(re.escape, re.split(NUMBER, statement))), said)
        if not there:
            raise PassbandError(f"{page}: {name}: the page lacks {statement!r}")
        (nearest,) = get_close_matches(statement, there, n=1, cutoff=0)
        pairs = zip(numbers(nearest), numbers(statement), strict=True)
        if any(abs(a - b) > within * max(1, abs(a)) for a, b in pairs):
            raise PassbandError(
                f"{page}: {name}: the page has {nearest!r}, computed again: {statement!r}"
            )
    tolerance = f", within {within:g}" if within else ""
    return f"{page}: {name}: {len(numbers(text))} numbers{tolerance}"


def compare_all(name: str, said: Mapping[Path, Iterable[str]]) -> Iterator[str]:
    """Yield the line of :func:`compare` for each text that a page has of something."""
    for page, texts in said.items():
        for text in texts:
            yield compare(page, name, text)


def filled(page: Path, tables: Mapping[str, str]) -> str:
    """Return the text of a page with tables between their marks.

    The marks of a table are ``<!-- NAME begin -->`` and ``<!-- NAME end -->``.

    Raises:
        PassbandError: If the page lacks a table's marks.
    """
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
        marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not marked.search(text):
            raise PassbandError(f"{page}: lacks {begin} or {end}")
        made = f"{begin}\n\n{table}\n\n{end}"
        text = marked.sub(lambda _, made=made: made, text)
    return text


def fill(page: Path, made: Callable[[], Mapping[str, str]]) -> None:
    """Write the tables that are made into a page, see :func:`filled`; a mistake is one line."""
    try:
        text = filled(page, made())
    except PassbandError as error:
        sys.exit(str(error))
    page.write_text(text, encoding="utf-8")


def numbers(text: str) -> list[float]:
    """Return the numbers in a text; a comma between digits is that of thousands."""
    found = re.findall(NUMBER, text)
    return [float(each.replace("−", "-").replace(",", "")) for each in found]
