"""Reads JSON that a stranger may have written: its size and its depth are limited.

A file of a kilobyte can have brackets inside each other that no code of this package, or of others,
can follow. All JSON from files is read here; what exceeds a limit is an error of the content, as
JSON with a missing bracket is.
"""

import json
from pathlib import Path
from typing import Any

#: The largest number of bytes of a file or an attribute, and of brackets inside each other.
MOST_BYTES = 32_000_000
DEEPEST = 50


def parse(text: str | bytes, most_bytes: int = MOST_BYTES) -> Any:
    """Return the value of JSON.

    Raises:
        ValueError: If the text is no JSON, is longer than `most_bytes`, or has more than
            :data:`DEEPEST` brackets inside each other.
        TypeError: If it is no text.
    """
    if not isinstance(text, str | bytes):
        raise TypeError(f"a {type(text).__name__}, expected text of JSON")
    if len(text) > most_bytes:
        raise ValueError(f"{len(text) / 1e6:.3g} MB of JSON, must be at most {most_bytes / 1e6:g}")
    try:
        value = json.loads(text)
    except RecursionError:
        value = None
        is_deep = True
    else:
        is_deep = _is_deep(value)
    if is_deep:
        raise ValueError(f"JSON with more than {DEEPEST} brackets inside each other")
    return value


def read(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """Return the value of a file of JSON. No more of the file is read than may be.

    Raises:
        OSError: If the file cannot be read.
        ValueError: See :func:`parse`.
    """
    with path.open("rb") as file:
        return parse(file.read(most_bytes + 1), most_bytes)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        inside = []
        for each in level:
            if isinstance(each, dict):
                inside += each.values()
            elif isinstance(each, list):
                inside += each
        if not inside:
            return False
        level = inside
    return True
