"""Keys of the configuration that an earlier version had.

Reading a study's file drops such a key with a remark if it has its default, and refuses any other
value with words about what replaces the key. A configuration that is stored with results tells how
the results were made, so that reading it drops the key whatever its value.

To remove a key, delete it from its block, write its default as a constant where the value is used,
and add an entry to :data:`REMOVED`.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from passband.config.base import short
from passband.config.study_file import dotted
from passband.words import listed


@dataclass(frozen=True)
class Removed:
    """A removed key.

    Attributes:
        default: The value that Passband has in place of the key's. It is {} for a block whose keys
            have entries before it, and None if every value is refused.
        instead: What replaces the key: the end of a sentence in a message.
    """

    default: Any
    instead: str


#: The removed keys by their paths, where ``*`` is any name, as in ``specimens.*.gap_nm``. The
#: blocks of a list, such as those of `grid`, have the paths that a single block would have.
REMOVED: dict[str, Removed] = {
    "study.parts": Removed([], "put the part's file into the folder parts beside the study's file"),
}


@dataclass(frozen=True)
class Dropped:
    """A removed key that a configuration has: its entry in :data:`REMOVED`, and its place there."""

    path: str
    place: str
    value: Any

    @property
    def has_default(self) -> bool:
        """Whether Passband does without the key what the configuration asks for."""
        default = REMOVED[self.path].default
        same_kind = isinstance(self.value, bool) == isinstance(default, bool)
        return default is not None and same_kind and self.value == default

    @property
    def refusal(self) -> str:
        """The line about a value that Passband does not have any more."""
        instead = REMOVED[self.path].instead
        return f"{self.place} = {short(self.value)}: this key was removed; {instead}"


def drop(config: dict) -> tuple[dict, list[Dropped]]:
    """Return a configuration without removed keys, and those that it had. It is not changed."""
    config = deepcopy(config)
    dropped = []
    for path in REMOVED:
        *blocks, last = path.split(".")
        for place, block in _found(config, blocks):
            if last in block:
                dropped.append(Dropped(path, dotted([*place, last]), block.pop(last)))
    return config, dropped


def remark(dropped: Sequence[Dropped]) -> str:
    """Return the line about removed keys that have their defaults."""
    every = list(dict.fromkeys(each.path for each in dropped))
    blocks = tuple(f"{path}." for path in every)
    paths = [path for path in every if not path.startswith(blocks)]
    several = len(paths) > 1
    return (
        f"{listed(paths)}: {'were' if several else 'was'} removed from Passband; the study has "
        f"{'their defaults' if several else 'its default'}, so nothing changes; delete "
        f"{'these keys' if several else 'this key'}"
    )


def _found(
    content: Any, names: Sequence[str], place: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict]]:
    """Yield the blocks that names lead to, each with the keys and numbers of its place."""
    if isinstance(content, list):
        for number, inner in enumerate(content):
            yield from _found(inner, names, (*place, number))
    elif isinstance(content, dict) and not names:
        yield place, content
    elif isinstance(content, dict):
        first, *rest = names
        for name in list(content) if first == "*" else [first]:
            yield from _found(content.get(name), rest, (*place, name))
