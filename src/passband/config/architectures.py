"""Network architectures by name, as plain data: a configuration is checked without torch.

An architecture is a part, see :mod:`passband.parts`. The name of a family of architectures has
placeholders: ``compact-w8-d3`` is one of the family ``compact-w<width>-d<depth>``. The package's
families are in :mod:`passband.learning.architectures`.

``compact-w8-d3+votes`` is the same network with further outputs for the head ``votes``, another
part. Names of parts have no "+".
"""

import difflib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from passband import gone
from passband.parts import PACKAGE, Part, PartError, Parts
from passband.words import number_of

#: What a placeholder may stand for: a name of an architecture is also that of a folder.
_VALUE = r"[A-Za-z0-9_.-]+?"


@dataclass(frozen=True)
class Architecture:
    """An architecture that a study can name. Two are equal if name and code are equal.

    Its numbers are in the decorator of its part. Those of a family follow from the values of the
    placeholders, so the part is a class that has them, which is called with the values.

    Attributes:
        part: The part with the code.
        values: The values of the placeholders in the name of a family; empty for others.
        code: The digests of the code of those of its parts that a study brings.
        head: The head that the network has outputs for.
    """

    name: str
    part: Part = field(compare=False, repr=False)
    values: Mapping[str, int | str] = field(compare=False, default_factory=dict)
    code: str = ""
    head: Part | None = field(compare=False, repr=False, default=None)

    @cached_property
    def described(self) -> Any:
        """The object with the numbers: that of the family, or what the decorator says.

        Raises:
            PartError: If the code of the part must not run, or fails.
            ValueError: If a family of the package has no such architecture.
        """
        if not self.values:
            self._check_outputs()
            return self.part.declaration
        family = self.part.load()
        outputs: dict[str, int] = {}
        if self.head:
            if "outputs" in {*inspect.signature(family).parameters} - {*self.values}:
                outputs = {"outputs": self.outputs}
            else:
                self._check_outputs()
        found = self.part.call(family, **self.values, **outputs)
        for name in ("divisor", "smallest_px"):
            value = getattr(found, name, None)
            if not isinstance(value, int) or value < 1:
                raise PartError(f"{self.part}: {name} = {value}: must be an integer, 1 or more")
        if not callable(getattr(found, "build", None)):
            raise PartError(f"{self.part}: has no method build, which makes the network")
        return found

    def _check_outputs(self) -> None:
        """Raise ValueError if the network has other outputs than the head needs."""
        has = self.part.declaration.outputs
        if has != self.outputs:
            raise ValueError(
                f"{self.part.name} has {number_of(has, 'output')}, and with the head "
                f"{self.head.name} a network must have {self.outputs}"
            )

    @property
    def is_known(self) -> bool:
        """Whether its numbers are known: nothing is known of a part that is missing."""
        if self.head and self.head.declaration is None:
            return False
        return not self.part.why_not or (not self.values and self.part.line > 0)

    @property
    def divisor(self) -> int:
        """The side of an image must be a multiple of this."""
        return self.described.divisor

    @property
    def smallest_px(self) -> int:
        """The smallest side of an image."""
        return self.described.smallest_px

    @property
    def outputs(self) -> int:
        """The number of channels of its output, the first of which is the logit of the mask.

        Raises:
            PartError: If the head is missing.
        """
        if self.head is None:
            return self.part.declaration.outputs
        if self.head.declaration is None:
            raise PartError(f"{self.head}: {self.head.why_not}")
        return 1 + self.head.declaration.outputs

    def number(self, name: str) -> float:
        """Return `weights` or `bytes_per_pixel`; 0 if the part leaves it to be counted."""
        return getattr(self.described, name, 0)

    @property
    def doubt(self) -> float:
        """The factor to which the bytes per pixel are correct."""
        return getattr(self.described, "doubt", 1.0)

    def make(self) -> Any:
        """Return the network, a module of torch with new random weights.

        Raises:
            PartError: See :attr:`described`.
        """
        return self.part.call(self.described.build if self.values else self.part.load())


def parse(name: str, parts: Parts = PACKAGE) -> Architecture:
    """Return the architecture that a name describes.

    Args:
        name: The name of the network; with a head, "+" and the name of the head follow.
        parts: The parts of the study that names it.

    Raises:
        ValueError: If no architecture has this name, or if it cannot have the head. The message
            lists the allowed names.
        PartError: If two parts give an architecture this name, or if there is no such head.
    """
    base, plus, head_name = name.partition("+")
    head = parts.get("head", head_name) if plus else None
    found = _parsed(base, parts, head)
    if found.is_known:
        _ = found.described
    return found


def _parsed(name: str, parts: Parts, head: Part | None) -> Architecture:
    """Return the architecture of a name without its head."""
    known = parts.of("architecture")
    if name in known and "<" not in name:
        part = known[name]
        for family in _families(PACKAGE):
            if _is_of(family, name):
                raise PartError(f"{part}: {family.name} is a family with this name, too")
        return _architecture(name, part, head)
    reason = "unknown architecture; allowed: " + ", ".join(map(_shown, known.values()))
    if said := gone.architecture(name):
        raise ValueError(said)
    for part in _families(parts):
        if values := _values(part.name, name):
            found = _architecture(name, part, head, values=values)
            if not found.is_known:
                return found
            try:
                _ = found.described
            except ValueError as error:
                reason = str(error)
                break
            return found
    try:  # it may only be missing
        return _architecture(name, parts.get("architecture", name), head)
    except PartError:
        alone = [each for each in known if "<" not in each]
        near = difflib.get_close_matches(name, alone, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ValueError(meant + reason) from None


def _architecture(
    name: str, part: Part, head: Part | None, values: Mapping[str, int | str] | None = None
) -> Architecture:
    own = [each.identity["digest"] for each in (part, head) if each and each.identity]
    full = f"{name}+{head.name}" if head else name
    return Architecture(full, part, values or {}, code="-".join(own), head=head)


def _families(parts: Parts) -> list[Part]:
    """Return the families of architectures, first those whose names leave least open."""
    found = [part for part in parts.of("architecture").values() if "<" in part.name]
    return sorted(found, key=lambda part: -len(re.sub(r"<\w+>", "", part.name)))


def _is_of(family: Part, name: str) -> bool:
    """Return whether a family of the package has an architecture of this name."""
    values = _values(family.name, name)
    try:
        return bool(values and family.load()(**values))
    except ValueError:
        return False


@cache
def _pattern(family: str) -> re.Pattern:
    literal = re.split(r"<(\w+)>", family)
    pieces = (f"(?P<{x}>{_VALUE})" if i % 2 else re.escape(x) for i, x in enumerate(literal))
    return re.compile("".join(pieces))


def _values(family: str, name: str) -> dict[str, int | str]:
    """Return the values of a family's placeholders in a name; none if the name is not like it.

    What looks like a number is one: 8, but not 08.
    """
    match = _pattern(family).fullmatch(name)
    found = match.groupdict() if match else {}
    return {key: int(x) if re.fullmatch(r"0|[1-9]\d*", x) else x for key, x in found.items()}


def _shown(part: Part) -> str:
    example = part.declaration.example
    return f"{part.name} such as {example}" if example else part.name
