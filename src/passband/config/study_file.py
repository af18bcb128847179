"""Read a study's file: the result is plain values, or one line that names the mistake.

Snakemake reads a study's file before Passband does. So Passband accepts only files that Snakemake's
reader reads in the same way, and no key that is given twice. There are limits for the numbers of
bytes, of nested blocks, of values in a list and of values in the file. These limits are checked
before values are built. The values of a YAML alias count each time that the alias is used.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from passband.config.base import short
from passband.console import escaped
from passband.errors import PassbandError
from passband.storage.integrity import is_regular

#: The largest number of bytes in a study's file.
MOST_BYTES = 1_000_000
#: The largest number of values in the file.
MOST_VALUES = 25_000
#: The largest number of values in a list.
MOST_IN_LIST = 10_000
#: The largest number of blocks and lists inside each other.
DEEPEST = 20

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class ConfigError(PassbandError):
    """Mistakes in a study's file or in its values, one line each."""

    def __init__(self, *lines: str):
        super().__init__("\n".join(map(escaped, lines)))

    __str__ = Exception.__str__  # the lines stay apart


def read(path: str | Path) -> dict:
    """Return the content of a study's file, see :func:`parse`.

    Only a regular file is opened, since reading a pipe might not end.
    """
    named = f"study file {str(path)!r}"
    try:
        os.stat(path)  # its error says why there is no such file
        if not is_regular(path):
            what = "a folder" if os.path.isdir(path) else "no regular file"
            raise ConfigError(f"{named}: is {what}; give a YAML file")
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        new = ", or make a study: passband new mine" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"{named}: {said}; give a YAML file{new}") from None
    return parse(_text(content, named), str(path))


def _text(content: bytes, named: str) -> str:
    if len(content) > MOST_BYTES:
        raise ConfigError(
            f"{named}: is larger than {MOST_BYTES:,} bytes, the most that is allowed; an axis can "
            "be a range such as {start: 5, stop: 40, num: 8}"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{named}: line {line}: not YAML: must be plain text in UTF-8, without the byte "
            f"0x{content[error.start]:02X}"
        ) from None


def parse(text: str, source: str, loader: "type[_Loader] | None" = None) -> dict:
    """Return the content of a study's text as plain values, with keys that are str or int.

    `source` is the name of the text in error messages.
    """
    try:
        value = (loader or _Loader)(text, source).get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{source}: line {line}: not YAML: must be plain text in UTF-8, without the control "
            f"character U+{error.character:04X}"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{source}: {_not_yaml(error, text)}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(value, dict):
        kinds = {list: "a list", str: "text", type(None): "empty"}
        kind = kinds.get(type(value), "a single value")
        raise ConfigError(f"{source}: is {kind}, not a mapping of keys to values")
    for key in value:
        if str(key).startswith("__"):  # with __use_yte__, Snakemake runs the file as a program
            raise ConfigError(f"{source}: {key}: a key must not begin with '__'; delete it")
    return value


def change(content: dict, changes: Sequence[str]) -> dict:
    """Return the content of a study's file after changes such as ``training.epochs=3``.

    A value is what it would be in the file, but 1e-3 is a number. Blocks that the file lacks are
    added.
    """
    content = dict(content)
    for given in changes:
        key, equals, text = given.partition("=")
        *outer, last = names = key.split(".")
        if not (equals and all(names)) or re.search(r"[^\w.-]", key) or _LINE_END.search(text):
            raise ConfigError(
                f"--set = {given!r}: must be a key, '=' and a value, as epochs in training.epochs=3"
            )
        (value,) = parse(f"'{key}': {text}", f"--set = {short(given)}", _ChangeLoader).values()
        block = content
        for depth, name in enumerate(outer, 1):
            inner = block.get(name)
            if not (inner is None or isinstance(inner, dict)):
                raise ConfigError(
                    f"--set = {given!r}: {dotted(names[:depth])} = {short(inner)} "
                    "is no block of keys; set the whole of it"
                )
            # A copy, since aliases of YAML share a block.
            block[name] = block = dict(inner or {})
        block[last] = value
    return content


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    lines = _LINE_END.split(text)
    number = min(mark.line, len(lines) - 1) if mark else 0
    if error.problem == "but found another document":
        return f"line {number + 1}: a second document; a study is one, without a line '---'"
    if mark and lines[number][mark.column : mark.column + 1] == "\t":
        return f"line {number + 1}: not YAML: a tab, where only spaces are allowed"
    said = " ".join(f"{error.context or ''} {error.problem or ''}".split())
    if error.context_mark and error.context_mark.line != number:
        said += f", which began in line {error.context_mark.line + 1}"
    return f"line {number + 1}: not YAML: {said}"


def dotted(keys: Sequence[str | int]) -> str:
    """Return keys as a user writes them, such as ``training.architectures[0]``."""
    name = ""
    for key in keys:
        if isinstance(key, int):
            name += f"[{key}]"
        else:
            name += "." + (key if re.fullmatch(r"[\w.-]{1,60}", key) else short(key))
    return name.lstrip(".")


class _Loader(yaml.SafeLoader):
    """Makes the values that Snakemake's reader makes, within the limits.

    What a study must not have is refused at its node, before any value is made. The scanner is that
    in Python, which Snakemake uses: the scanner in C treats tabs differently.
    """

    def __init__(self, text: str, source: str):
        super().__init__(text)
        self.source = source
        #: The blocks and lists around a node, from the outside, each with the key or the number of
        #: what is read in it; None while a key is read.
        self.path: list[tuple[yaml.Node, yaml.Node | int | None]] = []
        #: Numbers of values, also of those that an alias repeats; a node that is missing has one.
        self.sizes: dict[yaml.Node, int] = {}
        #: The line of each key of a block.
        self.lines: dict[tuple[yaml.Node, str], int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Return the next node of a block or list, after checking it."""
        event = self.peek_event()
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if parent is not None:
            self.path.append((parent, index))
        self._check_event(event, index)
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.ScalarEvent):
            self._check_scalar(event, node)
        if is_key:
            self._check_key(event, parent, node)
        if parent is not None:
            size = self.sizes[parent] = self.sizes.get(parent, 1) + self.sizes.get(node, 1)
            if size > MOST_VALUES:
                what = f"more than {MOST_VALUES:,} values, each alias counted as its values"
                self._refuse(event, f"{self._place()}{what}")
            self.path.pop()
        return node

    def _check_event(self, event: yaml.NodeEvent, index: Any) -> None:
        """Refuse a list that is too long, and a node that cannot be a part of a study."""
        if index == MOST_IN_LIST:
            self.path.pop()
            what = f"a list of more than {MOST_IN_LIST:,} values, the most that are allowed"
            self._refuse(event, f"{self._place()}{what}")
        if isinstance(event, yaml.AliasEvent):
            if self.anchors.get(event.anchor) in (parent for parent, _ in self.path):
                self._refuse(event, f"*{event.anchor}: is used inside its own value")
            return
        if event.tag:
            why = "tags are not allowed; write the value alone"
            self._refuse(event, f"{event.tag[:60]!r}: {why}")
        if isinstance(event, yaml.CollectionStartEvent) and len(self.path) == DEEPEST:
            self._refuse(event, f"blocks and lists more than {DEEPEST} deep inside each other")

    def _check_key(self, event: yaml.Event, parent: yaml.Node, node: yaml.Node) -> None:
        kinds = {"seq": "a list as a key", "map": "a block as a key", "null": "an empty key"}
        kind = node.tag.rpartition(":")[2]
        if kind not in ("str", "int", "merge"):
            what = kinds.get(kind) or f"the key {self.construct_object(node)}"
            self._refuse(event, f"{what}: must be a name; if it is one, put it in quotes")
        key = str(self.construct_object(node)) if kind == "int" else node.value
        line = event.start_mark.line + 1
        if before := self.lines.get((parent, key)):
            where = f"lines {before} and {line}" if before != line else f"line {line}, twice"
            name = self._named(key)
            raise ConfigError(f"{self.source}: {where}: {name} is given twice; keep one of them")
        self.lines[parent, key] = line

    def _check_scalar(self, event: yaml.Event, node: yaml.ScalarNode) -> None:
        """Refuse text and numbers that no message can show."""
        text = node.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._refuse(event, f"{text[:60]!r}: has half a character; write the whole character")
        if node.tag.rpartition(":")[2] in ("int", "float") and len(text) > 100:
            why = f"a number of {len(text):,} characters; write 100 at most"
            self._refuse(event, f"{self._place()}{why}")

    def _refuse(self, event: yaml.Event, why: str) -> NoReturn:
        raise ConfigError(f"{self.source}: line {event.start_mark.line + 1}: {why}")

    def _place(self) -> str:
        return f"{name}: " if (name := self._named()) else ""

    def _named(self, *key: str) -> str:
        """Return the keys that lead to what is read, and a further key, as a user writes them."""
        parts = [index for _, index in self.path if index is not None]
        return dotted([*(getattr(part, "value", part) for part in parts), *key])


class _ChangeLoader(_Loader):
    """Also reads 1e-3 as a number. In a file, it is text, as it is for Snakemake's reader."""


_ChangeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[\d.]+[eE][-+]?\d+$"), list("-+.0123456789")
)
