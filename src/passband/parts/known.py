"""The parts that a study knows: the package's, and those that the study brings."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from passband.parts.part import Part
from passband.parts.reading import read, read_package
from passband.parts.source import FOLDER, PartError, check_size, digest, imported_beside

#: The kinds of metrics.
METRICS = ("metric", "ood_metric")

_WHY_NOT = "came with results or a network, so its code is not run; --trust-parts runs it"


class Parts:
    """All parts that a study knows.

    Reading declarations runs no code. The code of a study's own parts runs only after
    :meth:`trust`, which commands call that execute the study's file.

    Attributes:
        folder: The folder with the study's own files of parts; None without one.
        own: The parts that the study brings.
        missing: What is known of parts that a stored configuration names and that are not here, a
            line each.
    """

    def __init__(
        self,
        own: Sequence[Part] = (),
        folder: Path | None = None,
        *,
        is_stored: bool = False,
    ):
        """Know some own parts besides the package's.

        Args:
            is_stored: Whether the configuration is stored with results. Then a name of no known
                part is no mistake, but a part that is missing.
        """
        self.own = tuple(own)
        self.folder = folder
        self._is_stored = is_stored
        self.missing: list[str] = []
        self._is_trusted = False

    @classmethod
    def read(cls, folder: Path | None, *, is_stored: bool = False) -> "Parts":
        """Return the parts of a study.

        Args:
            folder: The folder with files of parts, which may be missing; None without one.

        Raises:
            PartError: If a file or a declaration is wrong, if a file has no part and none imports
                it, or if two parts have one name, or a metric and an OOD metric, which are
                variables on the same pages.
        """
        found = sorted(folder.glob("*.py")) if folder else []
        check_size(found)
        files = [file for file in found if not file.name.startswith("_")]
        declared = {file: read(file) for file in files}
        _check_each_has_a_part(declared)
        own = [part for parts in declared.values() for part in parts]
        before: list[Part] = []
        for part in own:
            kinds = METRICS if part.kind in METRICS else (part.kind,)
            others = [each for kind in kinds for each in read_package(kind)]
            others += [each for each in before if each.kind in kinds]
            for same in others:
                if same.name == part.name:
                    a = "an" if same.kind[0] in "aeo" else "a"
                    raise PartError(f"{part}: {same.place} has {a} {same.kind} of this name, too")
            before.append(part)
        marked = [replace(part, is_own=True) for part in own]
        return cls(marked, folder if files else None, is_stored=is_stored)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def as_stored(self) -> "Parts":
        """Return the same parts for a stored configuration, which may name others."""
        found = Parts(self.own, self.folder, is_stored=True)
        found._is_trusted = self._is_trusted
        return found

    @property
    def is_trusted(self) -> bool:
        """Whether the code of the study's own parts may run; true without any."""
        return self._is_trusted or not self.own

    def trust(self) -> None:
        """Let the code of the study's own parts run in this process and in those that it starts."""
        self._is_trusted = True

    def of(self, kind: str) -> dict[str, Part]:
        """Return all parts of a kind by name, first the package's."""
        return {part.name: part for part in (*read_package(kind), *self.own_of(kind))}

    def own_of(self, kind: str) -> list[Part]:
        """Return the study's own parts of a kind."""
        why_not = "" if self._is_trusted else _WHY_NOT
        return [replace(part, why_not=why_not) for part in self.own if part.kind == kind]

    def get(self, kind: str, name: str) -> Part:
        """Return a part by its name.

        Raises:
            PartError: If there is no such part; its line lists the names that are allowed.
        """
        known = self.of(kind)
        if name in known:
            return known[name]
        if self._is_stored:
            missing = _missing(kind, name)
            line = f"{missing}: {missing.why_not}"
            if line not in self.missing:
                self.missing.append(line)
            return missing
        near = difflib.get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise PartError(
            f"{name!r}: there is no {kind} of this name; {meant}allowed: {', '.join(known)}"
        )

    @cached_property
    def digest(self) -> str:
        """Digits that identify the code of all own parts; "" without any."""
        if not self.own:
            return ""
        return "-".join(sorted({digest(part.file) for part in self.own}))

    def identities(self) -> list[dict[str, str]]:
        """Return kind, name, module and digest of each own part, for provenance."""
        return [
            {"kind": part.kind, "name": part.name} | part.identity
            for part in self.own
            if part.identity
        ]


def _check_each_has_a_part(declared: Mapping[Path, Sequence[Part]]) -> None:
    """Raise PartError if a file declares no part and no part imports it: a decorator is missing."""
    without = [file for file, parts in declared.items() if not parts]
    if not without:
        return
    used = {other for file, parts in declared.items() if parts for other in imported_beside(file)}
    for file in without:
        if file not in used:
            raise PartError(
                f"{FOLDER}/{file.name}: has no part, a function or class with a decorator of "
                f"passband.parts such as @metric, and no part imports it by `from .{file.stem} "
                "import ...`"
            )


def _missing(kind: str, name: str) -> Part:
    why_not = "is a part of the study, and is missing here"
    return Part(kind, name, None, name, Path(), 0, is_own=True, why_not=why_not)


#: The package's own parts.
PACKAGE = Parts()
#: What is known of the parts of a study of which nothing but a name is there.
STORED = Parts(is_stored=True)
