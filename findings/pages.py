"""Writes tables into pages, and compares what a page says with what was computed again."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from passband import PassbandError

NUMBER = r"[-−+]?\d+(?:[.,]\d+)*"


def _nothing(found: Any) -> dict[Path, list[str]]:
    """Return no sentences."""
    return {}


@dataclass(frozen=True)
class Page:
    """A page whose tables follow from a result, as do sentences on this page and on others.

    Attributes:
        name: What the result is, for messages.
        path: The page, in Markdown.
        tables: Returns the tables by the names of their marks, see :func:`filled`.
        statements: Returns parts of sentences, by the page that has them.
        within: How much numbers may differ, see :func:`compare`.
    """

    name: str
    path: Path
    tables: Callable[[Any], Mapping[str, str]]
    statements: Callable[[Any], Mapping[Path, Iterable[str]]] = _nothing
    within: float = 0.0

    def fill(self, result: Callable[[], Any]) -> None:
        """Write the tables of a result into the page; a mistake is one line."""
        try:
            text = filled(self.path, self.made(result()))
        except PassbandError as error:
            sys.exit(str(error))
        self.path.write_text(text, encoding="utf-8")

    def compared(self, result: Any) -> Iterator[str]:
        """Yield a line for each table and each sentence that a page has of a result.

        Raises:
            PassbandError: If a page has other numbers.
        """
        for name, text in self.made(result).items():
            yield compare(self.path, name, text, within=self.within)
        for page, texts in self.statements(result).items():
            for text in texts:
                yield compare(page, self.name, text, within=self.within)

    def made(self, result: Any) -> dict[str, str]:
        """Return the tables, with true minus signs."""
        return {
            name: re.sub(r"(?<=[ (*])-(?=[ \d])", "−", text)
            for name, text in self.tables(result).items()
        }


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


def interval(of: Mapping[str, float], digits: int = 3, sign: str = "") -> str:
    """Return a value with its interval, such as ``0.12 (0.10 to 0.14)``.

    Args:
        of: Has `value`, `low` and `high`.
        sign: ``+`` shows the sign of a value above 0 too.
    """
    value, low, high = (of[name] for name in ("value", "low", "high"))
    return f"{value:{sign}z.{digits}f} ({low:z.{digits}f} to {high:z.{digits}f})"


def numbers(text: str) -> list[float]:
    """Return the numbers in a text; a comma between digits is that of thousands."""
    found = re.findall(NUMBER, text)
    return [float(each.replace("−", "-").replace(",", "")) for each in found]
