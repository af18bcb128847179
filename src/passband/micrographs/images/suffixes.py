"""Which reader reads a file: the end of the file's name says it.

The readers are parts. Those of the package are in :mod:`passband.micrographs.images.formats`; those
of a study that a command names go before them.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from passband.parts import PACKAGE, Part, PartError, Parts
from passband.results import Results

#: The parts of the study that the command names. A process has one command.
_known: Parts = PACKAGE


def use(parts: Parts) -> None:
    """Let this process read files also with the readers of a study."""
    global _known
    _known = parts
    readers.cache_clear()


def use_of(study: str | Path | None) -> None:
    """Let this process read files also with the readers of the study that a user names.

    Args:
        study: See :meth:`passband.results.Results.find`; None for the readers of the package alone.

    Raises:
        PassbandError: If there is no such study, or if its parts must not run.
    """
    if study is None:
        return use(PACKAGE)
    results = Results.find(study)
    results.check_trusted()
    return use(results.study.known_parts)


def used() -> Parts:
    """Return the parts whose readers this process uses, for the processes that it starts."""
    return _known


@cache
def readers() -> Mapping[str, Part]:
    """Return the readers by suffix, in lower case. A study's own go before those of the package.

    Raises:
        PartError: If two readers of a study have one suffix.
    """
    found: dict[str, Part] = {}
    for part in _known.of("reader").values():
        for suffix in part.declaration.suffixes:
            before = found.get(suffix)
            if before is not None and before.is_own == part.is_own:
                raise PartError(f"{part}: {before.place} reads files {suffix}, too")
            found[suffix] = part
    return dict(sorted(found.items()))


def suffix(path: Path) -> str:
    """Return the suffix that selects the reader, in lower case: the longest that a reader has."""
    name = path.name.lower()
    fitting = (each for each in readers() if name.endswith(each) and name != each)
    return max(fitting, key=len, default=path.suffix.lower())


def is_image(path: Path) -> bool:
    """Return whether there is a reader for files of this name."""
    return suffix(path) in readers()


def is_folder_format(path: Path) -> bool:
    """Return whether images of this name may be folders."""
    part = readers().get(suffix(path))
    return part is not None and part.declaration.folders


def files_of(path: Path) -> list[Path]:
    """Return the files with the content of an image file: itself, or those of a folder or an EMI.

    They are sorted. The parts of a Zarr folder are all files in it.
    """
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path, *sorted(ser_files(path))] if suffix(path) == ".emi" else [path]


def ser_files(path: Path) -> list[Path]:
    """Return the SER files that belong to an EMI file."""
    stem = path.stem.lower()
    return [
        entry
        for entry in path.absolute().parent.iterdir()
        if suffix(entry) == ".ser" and entry.stem.lower().rpartition("_")[0] == stem
    ]


def has_emi(path: Path, names: set[str]) -> bool:
    """Return whether a SER file has an EMI file: `name_1.ser` belongs to `name.emi`.

    Args:
        names: The names of the files beside it, in lower case.
    """
    return suffix(path) == ".ser" and f"{path.stem.rpartition('_')[0].lower()}.emi" in names


def companions(path: Path, folder: Path) -> Iterator[Path]:
    """Yield the paths in a folder of files about an image: with its name, or another suffix."""
    yield folder / path.name
    stem = path.name[: len(path.name) - len(suffix(path))]
    yield from (folder / f"{stem}{each}" for each in readers())
