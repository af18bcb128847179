"""What all kinds of parts have in common."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, TypeVar

Made = TypeVar("Made")


@dataclass(frozen=True)
class Kind:
    """A kind of parts. An instance is the declaration of one part, and its decorator.

    A declaration is read from the text of its file, so its arguments are literals, or the constants
    of :mod:`passband.parts`.

    Attributes:
        home: The files of the package that have its own parts of this kind, below ``passband/``.
        is_data: Whether a part may also be an assignment, ``name = kind(...)``, without code.
        hyphens: Whether "-" replaces "_" in the name of a part.
        families: Whether the name may have placeholders, as ``compact-w<width>-d<depth>`` has.
    """

    home: ClassVar[tuple[str, ...]] = ()
    is_data: ClassVar[bool] = False
    hyphens: ClassVar[bool] = True
    families: ClassVar[bool] = False

    _: KW_ONLY
    #: By what people call the part; "" is the name of its function or class.
    name: str = ""

    def __new__(cls, *given: Any, **named: Any) -> Any:
        """Return a declaration; or what is decorated, if the decorator has no parentheses."""
        if len(given) == 1 and not named and callable(given[0]):
            return given[0]
        return super().__new__(cls)

    def __call__(self, made: Made) -> Made:
        """Return the decorated function or class itself."""
        return made

    def check(self) -> None:
        """Raise ValueError if values do not fit together: ``key = value: what is allowed``."""

    def check_name(self, name: str) -> None:
        """Raise ValueError if a part of this kind cannot have this name: ``name = ...: why``."""

    @property
    def arguments(self) -> tuple[str, ...] | None:
        """What a part is called with, in this order; None if there is no rule."""
        return None
