"""What a verb of the door returns."""

import dataclasses
import html
import json
import math
from collections.abc import Mapping
from typing import Any


class Outcome:
    """What a verb returns: the text that its command prints, a face in a notebook, and JSON.

    A subclass has `__str__` and, if it is no dataclass or has fields that are no results, `values`.
    """

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def values(self) -> Mapping[str, Any]:
        """Return what :meth:`to_json` writes, by name."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}

    def to_json(self) -> str:
        """Return a line of JSON. A number that is not finite is null."""
        return json.dumps(_plain(self.values()), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """Return a value of JSON."""
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Outcome):
        return _plain(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):  # of numpy
        return _plain(value.tolist())
    return str(value)  # a path, an id
