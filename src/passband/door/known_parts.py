"""The parts that a study knows, as a list to read."""

from collections.abc import Sequence
from dataclasses import dataclass

from passband.door.opened import Opened
from passband.outcomes import Outcome
from passband.parts import KINDS, Part, PartError, Parts


@dataclass(frozen=True)
class PartRow:
    """A part: its kind, its name, the file or module that declares it, and what it is."""

    kind: str
    name: str
    file: str
    line: int
    own: bool
    about: str


@dataclass(frozen=True)
class PartList(Outcome):
    """Parts, by kind and name.

    Attributes:
        parts: A row for each.
    """

    parts: tuple[PartRow, ...]

    @classmethod
    def of(cls, known: Parts, kinds: Sequence[str] = ()) -> "PartList":
        """Return the parts of some kinds, by default of all.

        Raises:
            PartError: If there is no such kind.
        """
        for kind in kinds:
            if kind not in KINDS:
                allowed = ", ".join(KINDS)
                raise PartError(f"{kind!r}: is no kind of parts; allowed: {allowed}")
        every = [part for kind in kinds or KINDS for part in known.of(kind).values()]
        return cls(tuple(map(_row, every)))

    def __str__(self) -> str:
        if not self.parts:
            return "no parts"
        cells = [(each.kind, each.name, each.file, each.about) for each in self.parts]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        )


def _row(part: Part) -> PartRow:
    return PartRow(
        kind=part.kind,
        name=part.name,
        file=part.shown_file,
        line=part.line,
        own=part.is_own,
        about=part.doc,
    )


class KnowsParts(Opened):
    """Says which parts a study knows."""

    def parts(self, *kinds: str) -> PartList:
        """Return the parts that the study can name, the package's and its own.

        Args:
            kinds: Kinds such as ``"figure"`` and ``"loss"``; by default all.

        Raises:
            PassbandError: If there is no such kind.

        Example:
            >>> figures = [figure.name for figure in demo.parts("figure").parts]
        """
        return PartList.of(self.study.known_parts, kinds)
