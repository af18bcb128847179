"""What a verb of the door returns."""

import dataclasses
import html
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")

#: How far a verb is: how much is done, of how much, and what is being done.
Progress = Callable[[float, float, str], object]


class Outcome:
    """What a verb returns: the text that its command prints, a face in a notebook, and JSON.

    A subclass has `__str__` and, if it is no dataclass or has fields that are no results, `values`.
    """

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def values(self) -> Mapping[str, Any]:
        """Return what :meth:`to_json` writes, by name."""
        return _fields(self)

    def to_json(self) -> str:
        """Return a line of JSON. A number that is not finite is null."""
        return json.dumps(_plain(self.values()), ensure_ascii=False, allow_nan=False)


@dataclasses.dataclass(frozen=True)
class Written(Outcome):
    """Files that a verb has written, and what they have, in words."""

    files: tuple[Path, ...]
    text: str

    def __str__(self) -> str:
        return self.text


def counted(progress: Progress | None, what: str) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """Return a function that yields the items it is given, and says how many were taken."""

    if progress is None:
        return iter

    def each(items: Iterable[Item]) -> Iterator[Item]:
        every = list(items)
        for done, item in enumerate(every):
            progress(done, len(every), what)
            yield item
        progress(len(every), len(every), what)

    return each


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass."""
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    """Return a value of JSON."""
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Outcome):
        return _plain(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(_fields(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    listed = getattr(value, "tolist", None)  # of numpy
    return _plain(listed()) if listed else str(value)  # a path, an id
