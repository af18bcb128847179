"""The kinds of parts: the decorator of each, which says what a part needs and how it is called."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, TypeVar

Made = TypeVar("Made")

#: What a metric is of: one condition, a pair of conditions, or a training condition.
SINGLE, PAIR, TRAIN = "single", "pair", "train"


@dataclass(frozen=True)
class Kind:
    """A kind of parts. An instance is the declaration of one part, and its decorator.

    A declaration is read from the text of its file, so its arguments are literals, or the constants
    of :mod:`passband.parts`.

    Attributes:
        home: The files of the package that have its own parts of this kind, below ``passband/``.
        is_data: Whether a part may also be an assignment, ``name = kind(...)``, without code.
        hyphens: Whether "-" replaces "_" in the name of a part.
    """

    home: ClassVar[tuple[str, ...]] = ()
    is_data: ClassVar[bool] = False
    hyphens: ClassVar[bool] = True

    _: KW_ONLY
    #: By what people call the part; "" is the name of its function or class.
    name: str = ""

    def __call__(self, made: Made) -> Made:
        """Return the decorated function or class itself."""
        return made

    def check(self) -> None:
        """Raise ValueError if values do not fit together: ``key = value: what is allowed``."""

    @property
    def arguments(self) -> tuple[str, ...] | None:
        """What a part is called with, in this order; None if there is no rule."""
        return None


@dataclass(frozen=True)
class figure(Kind):  # noqa: N801, a decorator
    """A figure: a function of its inputs and the study that returns Matplotlib's figure.

    Attributes:
        inputs: The stores that the figure shows.
        caption: Its caption, in Markdown; the first sentence is bold.
        on_request: Whether the figure is drawn only if the user names it.
    """

    home: ClassVar = ("figures/*.py",)
    hyphens: ClassVar = False

    _: KW_ONLY
    caption: str
    inputs: tuple[str, ...] = ("ood",)
    on_request: bool = False


@dataclass(frozen=True)
class metric(Kind):  # noqa: N801
    """An information metric of one condition or of a pair of conditions."""

    home: ClassVar = ("analysis/information.py",)
    hyphens: ClassVar = False

    of: str
    _: KW_ONLY
    units: str = "1"

    def check(self) -> None:
        if self.of not in (SINGLE, PAIR):
            raise ValueError(f"of = {self.of!r}: must be SINGLE or PAIR")


@dataclass(frozen=True)
class ood_metric(Kind):  # noqa: N801
    """A metric of a training condition, or of a training and a test condition."""

    home: ClassVar = ("analysis/ood.py",)
    hyphens: ClassVar = False

    of: str

    def check(self) -> None:
        if self.of not in (TRAIN, PAIR):
            raise ValueError(f"of = {self.of!r}: must be TRAIN or PAIR")


@dataclass(frozen=True)
class loss(Kind):  # noqa: N801
    """A loss of networks, which training makes small.

    Attributes:
        targets: What the loss compares with: ``mask`` or ``instances``.
    """

    home: ClassVar = ("learning/losses.py",)

    _: KW_ONLY
    targets: tuple[str, ...] = ("mask",)


@dataclass(frozen=True)
class architecture(Kind):  # noqa: N801
    """A class or function that makes a network.

    Attributes:
        divisor: The side of an image must be a multiple of this.
        smallest_px: The smallest side of an image.
    """

    home: ClassVar = ("learning/networks.py",)

    _: KW_ONLY
    divisor: int = 1
    smallest_px: int = 1


@dataclass(frozen=True)
class material(Kind):  # noqa: N801
    """A crystal, as data."""

    home: ClassVar = ("config/crystals.py",)
    is_data: ClassVar = True


@dataclass(frozen=True)
class shape(Kind):  # noqa: N801
    """A body of particles."""

    home: ClassVar = ("specimens/bodies.py",)


@dataclass(frozen=True)
class specimen(Kind):  # noqa: N801
    """A function that draws the atoms of a structure."""

    home: ClassVar = ("specimens/structures.py",)


@dataclass(frozen=True)
class noise(Kind):  # noqa: N801
    """A function that draws an image's electron counts."""

    home: ClassVar = ("imaging/noise.py",)


@dataclass(frozen=True)
class engine(Kind):  # noqa: N801
    """A class that computes exit waves."""

    home: ClassVar = ("specimens/multislice.py", "specimens/abtem_engine.py")


@dataclass(frozen=True)
class reader(Kind):  # noqa: N801
    """A function that reads the images of a file, and returns a `Content`.

    Attributes:
        suffixes: The ends of the names of its files, such as ``.tif``, in lower case.
        folders: Whether a folder may have such a name, too, and is then read as one file.
    """

    home: ClassVar = ("micrographs/images/formats/*.py",)

    _: KW_ONLY
    suffixes: tuple[str, ...]
    folders: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("path",)

    def check(self) -> None:
        for each in self.suffixes:
            if not re.fullmatch(r"(\.[a-z0-9_-]+)+", each):
                raise ValueError(
                    f"suffixes = {self.suffixes}: {each!r} must be a point and small letters or "
                    "digits, such as '.tif'"
                )
        if not self.suffixes:
            raise ValueError("suffixes = (): must have one at least, such as ('.tif',)")


def _by_name() -> Mapping[str, type[Kind]]:
    return {each.__name__: each for each in Kind.__subclasses__()}


#: All kinds, by the name of their decorator.
KINDS: Mapping[str, type[Kind]] = _by_name()

#: The constants that a declaration may name.
CONSTANTS: Mapping[str, Any] = {"SINGLE": SINGLE, "PAIR": PAIR, "TRAIN": TRAIN}
