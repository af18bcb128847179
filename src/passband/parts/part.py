"""A part that a file declares: its name, its declaration, and its code, which is run when used."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from passband.errors import PassbandError
from passband.parts.source import FOLDER, PartError, content, digest, imported_beside

#: With what the names begin under which folders of parts are imported.
_PACKAGE = "passband_study_parts_"


@dataclass(frozen=True)
class Part:
    """A function or class with a decorator of :mod:`passband.parts`, or its data.

    Attributes:
        kind: The name of its kind, such as ``figure``.
        name: By what people call it.
        declaration: What its decorator says.
        attribute: The name of the function or class in its module.
        file: The file of its module.
        line: The line of the declaration.
        module: The package's module to import; "" for a file in a study's folder ``parts/``.
        is_data: Whether the declaration is all that there is, without code.
        doc: The first sentence of its docstring, or "".
        is_own: Whether a study brings it. Otherwise it is the package's.
        why_not: Why its code is not run: "" if it may be.
    """

    kind: str
    name: str
    declaration: Any
    attribute: str
    file: Path
    line: int
    module: str = ""
    is_data: bool = False
    doc: str = ""
    is_own: bool = False
    why_not: str = ""

    def __str__(self) -> str:
        of = f" of {self.place}" if self.file.name else ""
        return f"{self.kind} {self.name!r}{of}"

    @property
    def place(self) -> str:
        """Where it is declared, for messages: ``parts/focal.py, line 3``."""
        return f"{self.shown_file}, line {self.line}" if self.line else self.shown_file

    @property
    def shown_file(self) -> str:
        """The file as people name it, also if it is a copy: the module, or ``parts/mine.py``."""
        return self.module or f"{FOLDER}/{self.file.name}"

    @cached_property
    def identity(self) -> dict[str, str] | None:
        """What results depend on: its place, and the digest of the code.

        None for the package's own parts, whose results have the numbers of stages. The code is that
        of the file and of the files beside it that it imports.
        """
        if not self.is_own:
            return None
        return {
            "module": f"{self.shown_file}:{self.attribute}",
            "digest": digest(self.file),
        }

    @property
    def files(self) -> list[Path]:
        """The file in a study's folder ``parts/``, and those beside it that it imports."""
        return sorted(imported_beside(self.file)) if self.is_own else []

    def load(self) -> Any:
        """Return the function, the class or the data. This runs the code of the part's file.

        Raises:
            PartError: If the code is not allowed to run, raises at its import, or has no such name.
        """
        if self.is_data:
            return self.declaration
        if self.why_not:
            raise PartError(f"{self}: {self.why_not}")
        try:
            module = self._imported()
        except PassbandError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also SystemExit, which would end the process in silence
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise PartError(f"{self}: its import fails: {said}") from error
        try:
            return getattr(module, self.attribute)
        except AttributeError:
            raise PartError(f"{self}: importing the file makes no {self.attribute}") from None

    def call(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Return what the part's function returns; its errors have one line that names the part."""
        try:
            return function(*given, **named)
        except PassbandError:
            raise
        except (Exception, SystemExit) as error:
            if not self.is_own:
                raise
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise PartError(f"{self}: {said}") from error

    def _imported(self) -> ModuleType:
        if self.module:
            return importlib.import_module(self.module)
        package = _package_of(self.file.parent)
        return importlib.import_module(f"{package}.{self.file.stem}")


class _FromSource(SourceFileLoader):
    """Imports a file from its text, so that the code that runs is that of the part's digest."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file's text, whatever is in the folder `__pycache__`."""
        return self.source_to_code(self.get_data(self.path), self.path)


class _OnlySource(MetaPathFinder):
    """Finds the files of folders of parts, and neither compiled code nor folders beside them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, stem = name.rpartition(".")
        if path is None or not package.startswith(_PACKAGE):
            return None
        (folder, *_) = path
        file = Path(folder, f"{stem}.py")
        if not file.is_file():
            raise ModuleNotFoundError(f"there is no file {FOLDER}/{file.name}", name=name)
        return spec_from_file_location(name, file, loader=_FromSource(name, str(file)))


def _package_of(folder: Path) -> str:
    """Return the name under which the files of a folder are imported, as a package.

    Two studies have different names, and so has the same folder after an edit.
    """
    digits = hashlib.sha256(str(folder.absolute()).encode())
    for file in sorted(file for file in folder.glob("*.py") if file.is_file()):
        digits.update(file.name.encode() + b"\0" + content(file, file.name))
    name = f"{_PACKAGE}{digits.hexdigest()[:16]}"
    if not any(isinstance(finder, _OnlySource) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OnlySource())
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder.absolute())]
        sys.modules[name] = package
    return name
