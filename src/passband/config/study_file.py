"""Read a study's file: the result is plain values, or one line that names the mistake.

Snakemake reads a study's file before Passband does. So Passband accepts only files that Snakemake's
reader reads in the same way. Text that YAML reads differently than a person does is refused: a key
that is given twice, ``010`` (8), ``1:00`` (60), ``0x10``, ``yes`` and ``no``, dates. There are
limits for the numbers of bytes, of nested blocks, of values in a list and of values in the file.
These limits are checked before values are built. The values of a YAML alias count each time that
the alias is used.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from passband import PassbandError
from passband.console import escaped

#: The largest numbers of bytes in a study's file, of values in the file, of values in a list, and
#: of blocks and lists inside each other.
MOST_BYTES, MOST_VALUES, MOST_IN_LIST, DEEPEST = 1_000_000, 25_000, 10_000, 20

#: First bytes of other kinds of files, which a user may give by mistake.
_MAGIC = {
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe\x00\x00": "text in UTF-32",
    b"\x00\x00\xfe\xff": "text in UTF-32",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x89HDF": "HDF5",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF",
}

# Integers and decimal numbers of YAML 1.1, without the forms that a person reads differently. These
# are octal and hexadecimal numbers, numbers in base 60, and digits grouped by "_".
_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d*)")
_NUMBER = re.compile(
    r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class ConfigError(PassbandError):
    """Mistakes in a study's file or in its values, one line each."""

    def __init__(self, *lines: str):
        super().__init__("\n".join(map(escaped, lines)))

    __str__ = Exception.__str__  # the lines stay apart


def read(path: str | Path) -> dict:
    """Return the content of a study's file, as plain values.

    Parameters
    ----------
    path : str or path
        A regular file. Files of other kinds are not opened, since reading a pipe might not end.

    Returns
    -------
    dict
        The file's content. Its keys are str or int.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not UTF-8, is not YAML, or is not a mapping.
    """
    named = f"study file {str(path)!r}"
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            what = "a folder" if os.path.isdir(path) else "no regular file"
            raise ConfigError(f"{named}: is {what}; give a YAML file")
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"{named}: {said}; give a YAML file") from None
    return parse(_text(content, named), str(path))


def _text(content: bytes, named: str) -> str:
    for magic, what in _MAGIC.items():
        if content.startswith(magic):
            raise ConfigError(f"{named}: is {what}; must be plain text in UTF-8")
    if b"\x00" in content:
        wide = content[:2].count(0) == 1 and len(content) % 2 == 0
        what = "text in UTF-16" if wide else "binary"
        raise ConfigError(f"{named}: is {what}; must be plain text in UTF-8")
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
            f"{named}: line {line}: byte 0x{content[error.start]:02X} is not UTF-8; save the file "
            "as UTF-8 (it may be Latin-1)"
        ) from None


def parse(text: str, source: str) -> dict:
    """Return the content of a study's text, as plain values.

    Parameters
    ----------
    text : str
        The text of a study's file, in YAML.
    source : str
        Name of the text in error messages.

    Raises
    ------
    ConfigError
        If the text is not YAML of plain values, or is not a mapping.
    """
    try:
        value = _Builder(text, source).value()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{source}: line {line}: the control character U+{error.character:04X} is not "
            "allowed; delete it"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{source}: {_not_yaml(error, text)}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(value, dict):
        kind = "empty" if value is None else _kind(value)
        raise ConfigError(f"{source}: is {kind}, not a mapping of keys to values")
    for key in value:
        if str(key).startswith("__"):  # with __use_yte__, Snakemake runs the file as a program
            raise ConfigError(f"{source}: {key}: a key must not begin with '__'; delete it")
    return value


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    lines = _LINE_END.split(text)
    number = min(mark.line, len(lines) - 1) if mark else 0
    if mark and lines[number][mark.column : mark.column + 1] == "\t":
        return f"line {number + 1}: not YAML: a tab, where only spaces are allowed"
    said = " ".join(f"{error.context or ''} {error.problem or ''}".split())
    if error.context_mark and error.context_mark.line != number:
        said += f", which began in line {error.context_mark.line + 1}"
    return f"line {number + 1}: not YAML: {said}"


def _kind(value: object) -> str:
    return {list: "a list", str: "text"}.get(type(value), "a single value")


@dataclass
class _Open:
    """A block or a list that has begun and has not ended.

    Attributes
    ----------
    line : int
        The line in which the block or list begins.
    anchor : str or None
        The name that aliases use for the block or list.
    value : dict or list
        The content of the block or list so far.
    size : int
        Number of values in the block or list so far. The block or list itself counts as one value.
    key : str, int or None
        In a block, the key whose value is read next; None if a key is read next.
    lines : dict of str to int
        The line of each key of a block.
    merged : list of dict
        Blocks that the key ``<<`` merges into this block.
    """

    line: int
    anchor: str | None
    value: dict | list
    size: int = 1
    key: str | int | None = None
    lines: dict[str, int] = field(default_factory=dict)
    merged: list[dict] = field(default_factory=list)


class _Merge(str):
    """The key ``<<``."""


class _Builder:
    """Builds values from PyYAML's events, without recursion and within the limits."""

    def __init__(self, text: str, source: str):
        # Snakemake uses PyYAML's scanner in Python. The scanner in C treats tabs differently.
        self.loader = yaml.SafeLoader(text)
        self.source = source
        self.open: list[_Open] = []
        # The value of each anchor, and its number of values; None before the value has ended.
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        self.values = 0

    def value(self) -> Any:
        """Return the value of the only document, or None if there is no document."""
        documents: list[Any] = []
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent):
                if documents:
                    self._refuse(event, "a second document; a study is one, without a line '---'")
                documents.append(None)
            elif isinstance(event, yaml.AliasEvent):
                self._add(*self._alias(event), event)
            elif isinstance(event, yaml.ScalarEvent):
                if event.tag:
                    self._refuse_tag(event)
                scalar = self._scalar(event)
                self._remember(event, scalar, 1)
                documents[-1] = self._add(scalar, 1, event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                documents[-1] = self._end(event)
        return documents[0] if documents else None

    def _events(self) -> Iterator[yaml.Event]:
        try:
            while (event := self.loader.get_event()) is not None:
                yield event
        finally:
            self.loader.dispose()

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag:
            self._refuse_tag(event)
        block = isinstance(event, yaml.MappingStartEvent)
        if self._awaits_key():
            self._refuse(event, f"a {'block' if block else 'list'} as a key; a key must be a name")
        if len(self.open) == DEEPEST:
            self._refuse(event, f"blocks and lists more than {DEEPEST} deep inside each other")
        self._remember(event, None, 0)
        line = event.start_mark.line + 1
        self.open.append(_Open(line, event.anchor, {} if block else []))

    def _end(self, event: yaml.CollectionEndEvent) -> Any:
        done = self.open.pop()
        if isinstance(done.value, dict):
            # A block's own keys have priority over merged blocks. Among merged blocks, the first
            # block that has the key has priority.
            for merged in done.merged:
                for key, value in merged.items():
                    if str(key) not in done.lines:
                        done.lines[str(key)] = done.line
                        done.value[key] = value
        if done.anchor:
            self.anchors[done.anchor] = done.value, done.size
        return self._add(done.value, done.size, event)

    def _alias(self, event: yaml.AliasEvent) -> tuple[Any, int]:
        if event.anchor not in self.anchors:
            self._refuse(event, f"*{event.anchor}: there is no &{event.anchor} before it")
        known = self.anchors[event.anchor]
        if known is None:
            self._refuse(event, f"*{event.anchor}: is used inside its own value")
        return known

    def _remember(self, event: yaml.NodeEvent, value: Any, size: int) -> None:
        if event.anchor is None:
            return
        if event.anchor in self.anchors:
            self._refuse(event, f"&{event.anchor}: is given twice")
        self.anchors[event.anchor] = (value, size) if size else None

    def _add(self, value: Any, size: int, event: yaml.Event) -> Any:
        """Add a value to the innermost open block or list, and return it."""
        if not self.open:
            return value
        into = self.open[-1]
        into.size += size
        if into.size > MOST_VALUES:
            self._refuse(
                event,
                f"{self._place()}more than {MOST_VALUES:,} values, each alias counted as its "
                "values",
            )
        if isinstance(into.value, list):
            if len(into.value) == MOST_IN_LIST:
                self._refuse(
                    event,
                    f"{self._place(self.open[:-1])}a list of more than {MOST_IN_LIST:,} values, "
                    "the most that are allowed",
                )
            into.value.append(value)
        elif into.key is None:
            self._key(into, value, event)
        elif isinstance(into.key, _Merge):
            self._merge(into, value, event)
            into.key = None
        else:
            into.value[into.key] = value
            into.key = None
        return value

    def _awaits_key(self) -> bool:
        if not self.open:
            return False
        return isinstance(self.open[-1].value, dict) and self.open[-1].key is None

    def _key(self, into: _Open, key: Any, event: yaml.Event) -> None:
        if isinstance(key, bool) or not isinstance(key, str | int):
            kinds = {type(None): "an empty key", list: "a list as a key", dict: "a block as a key"}
            what = kinds.get(type(key), f"the key {key}")
            self._refuse(event, f"{what}: must be a name; if it is one, put it in quotes")
        line = event.start_mark.line + 1
        if before := into.lines.get(str(key)):
            where = f"lines {before} and {line}" if before != line else f"line {line}, twice"
            name = self._named([*self._keys(self.open[:-1]), key])
            raise ConfigError(f"{self.source}: {where}: {name} is given twice; keep one of them")
        into.lines[str(key)] = line
        into.key = key

    def _merge(self, into: _Open, value: Any, event: yaml.Event) -> None:
        blocks = value if isinstance(value, list) else [value]
        if not all(isinstance(block, dict) for block in blocks):
            self._refuse(event, "<<: must be a block, or a list of blocks, to merge")
        into.merged += blocks

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        """Return a scalar's value. Refuse text that YAML reads differently than a person does."""
        text = event.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._refuse(event, f"{text[:60]!r}: has half a character; write the whole character")
        if not event.implicit[0]:  # in quotes, or a block of text
            return text
        tag = self.loader.resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]
        if tag == "str":
            return text
        if tag == "null":
            return None
        if tag == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        long = tag in ("int", "float") and len(text) > 100
        if tag == "int" and not long and _INTEGER.fullmatch(text):
            return int(text)
        if tag == "float" and not long and _NUMBER.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if tag == "merge" and self._awaits_key():
            return _Merge(text)
        name = "" if self._awaits_key() else self._named(self._keys(self.open))
        short = text if len(text) <= 60 else f"{text[:20]}..."
        given = f"{name} = {short}" if name else short
        if long:
            why = f"a number of {len(text):,} characters; write 100 at most"
        elif tag == "bool":
            why = f"YAML reads it as true or false; write one of these, or {short!r} for text"
        elif tag == "merge":
            why = f"merges blocks and must be a key; write {short!r} for text"
        elif tag in ("int", "float"):
            try:
                read = f"YAML reads it as {yaml.safe_load(text):.15g}"
            except (ValueError, OverflowError):
                read = "it is no number"
            why = f"{read}; write a plain decimal number, or {short!r} for text"
        else:
            what = "a date" if tag == "timestamp" else "a special mark"
            why = f"YAML reads it as {what}; write {short!r} for text"
        self._refuse(event, f"{given}: {why}")

    def _refuse_tag(self, event: yaml.Event) -> NoReturn:
        self._refuse(event, f"{event.tag[:60]!r}: tags are not allowed; write the value alone")

    def _refuse(self, event: yaml.Event, why: str) -> NoReturn:
        raise ConfigError(f"{self.source}: line {event.start_mark.line + 1}: {why}")

    def _keys(self, blocks: list[_Open]) -> list[Any]:
        """Return the keys and indices that lead into the last block."""
        return [
            f"[{len(block.value)}]" if isinstance(block.value, list) else block.key
            for block in blocks
        ]

    def _place(self, blocks: list[_Open] | None = None) -> str:
        keys = self._keys(self.open if blocks is None else blocks)
        return f"{self._named(keys)}: " if keys else ""

    def _named(self, keys: list[Any]) -> str:
        name = ""
        for key in keys:
            text = str(key)
            if not re.fullmatch(r"[\w.-]{1,60}|\[\d+\]", text):
                text = repr(text if len(text) <= 60 else text[:57] + "...")
            name += text if text.startswith("[") else f".{text}"
        return name.lstrip(".")
