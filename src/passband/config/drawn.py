"""Keys whose value is a number, or a range of numbers, of which each image has its own."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator

from passband.config.base import Block, number_hint, short
from passband.seeds import generator

#: A number, or the lowest and the highest value of a range.
Number = float | list[float]


@dataclass(frozen=True)
class Allowed:
    """The numbers that a key with a range allows; marks the type of the key.

    Attributes:
        low, high: Smallest and largest number.
        unit: Unit of the numbers.
        above: Whether `low` itself is not allowed.
    """

    low: float
    high: float
    unit: str = ""
    above: bool = False

    @property
    def words(self) -> str:
        """A description of the values that the key may have."""
        bounds = f"between {self.low} and {self.high}"
        if self.above:
            bounds = f"above {self.low} and at most {self.high}"
        bounds = f"{bounds} {self.unit}".rstrip()
        return f"a number {bounds}, or a range [low, high] with low < high"

    def check(self, value: Any) -> Any:
        """Return a value of the key; ValueError if it is none."""
        if self._has(value):
            return value
        is_pair = isinstance(value, list | tuple) and len(value) == 2
        if is_pair and all(map(self._has, value)) and value[0] < value[1]:
            return [float(end) for end in value]
        raise ValueError(f"{short(value)}: must be {self.words}{number_hint(value)}")

    def _has(self, value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Return the schema of the key."""
        low = "exclusiveMinimum" if self.above else "minimum"
        number = {"type": "number", low: self.low, "maximum": self.high}
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        return {"anyOf": [number, pair]}


def ranged(low: float, high: float, unit: str = "", above: bool = False) -> Any:
    """Return the type of a key whose value is a number or a range, see :class:`Allowed`."""
    allowed = Allowed(low, high, unit=unit, above=above)
    return Annotated[Number, BeforeValidator(allowed.check), allowed]


def is_range(value: Any) -> bool:
    """Return whether each image has another number."""
    return isinstance(value, list)


def middle(value: Number) -> float:
    """Return the middle of a range, or the number itself."""
    return sum(value) / 2 if isinstance(value, list) else value


def lowest(value: Number) -> float:
    """Return the lowest value of a range, or the number itself."""
    return value[0] if isinstance(value, list) else value


def highest(value: Number) -> float:
    """Return the highest value of a range, or the number itself."""
    return value[-1] if isinstance(value, list) else value


class Ranged(Block):
    """A block some of whose keys, or keys of blocks inside it, may have a range or a choice."""

    #: The paths of these keys, in the order of their random numbers. It never changes: new keys
    #: come last.
    drawn_keys: ClassVar[tuple[str, ...]] = ()

    @property
    def ranges(self) -> dict[str, list]:
        """The ranges of numbers, and the choices of names, by the path of the key."""
        given = {path: self.at(path) for path in self.drawn_keys}
        return {path: value for path, value in given.items() if is_range(value)}

    def drawn(self, *names: str | int) -> Self:
        """Return the block of one image, which has one value in place of each range.

        Args:
            *names: Names that determine the random numbers; see :func:`passband.seeds.seed`. Each
                key has a random number of its own, whichever others have a range.
        """
        if not (ranges := self.ranges):
            return self
        uniform = generator(*names).random(len(self.drawn_keys))
        shares = dict(zip(self.drawn_keys, uniform.tolist(), strict=True))
        found = self
        for path, given in ranges.items():
            found = found.replaced(path, _at(given, shares[path]))
        return found

    @property
    def middle(self) -> Self:
        """The block with the middle of each range, and the last name of each choice."""
        found = self
        for path, given in self.ranges.items():
            found = found.replaced(path, given[-1] if _is_choice(given) else middle(given))
        return found


def _is_choice(given: list) -> bool:
    """Return whether a list has names to choose from, and not the ends of a range."""
    return isinstance(given[0], str)


def _at(given: list, share: float) -> float | str:
    """Return the value at a share from 0 to 1 of a range or a choice."""
    if _is_choice(given):
        return given[int(share * len(given))]
    low, high = given
    return low + (high - low) * share
