"""Compares what a page says with what was computed again."""

import re
from difflib import get_close_matches
from pathlib import Path

from passband import PassbandError

NUMBER = r"[-−+]?\d+(?:[.,]\d+)*"


def compare(page: Path, name: str, text: str) -> str:
    """Return a line that says that a page has a text, with the same numbers.

    Line breaks of the page and of the text do not matter.

    Args:
        page: The page, in Markdown.
        name: What the text is, for the line and the message.
        text: A table in Markdown, whose rows are compared one by one, or a part of a sentence.

    Raises:
        PassbandError: If the page has other numbers in place of those of the text, or lacks it.
    """
    said = " ".join(page.read_text(encoding="utf-8").split())
    statements = text.splitlines() if text.startswith("|") else [text]
    for statement in (" ".join(each.split()) for each in statements):
        there = re.findall(NUMBER.join(map(re.escape, re.split(NUMBER, statement))), said)
        if not there:
            raise PassbandError(f"{page}: {name}: the page lacks {statement!r}")
        if statement not in there:
            (nearest,) = get_close_matches(statement, there, n=1, cutoff=0)
            raise PassbandError(
                f"{page}: {name}: the page has {nearest!r}, computed again: {statement!r}"
            )
    return f"{page}: {name}: {len(re.findall(NUMBER, text))} numbers"
