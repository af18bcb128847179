"""Finds pieces of a study, and checks that their configurations agree.

Only attributes are read, as JSON. So a mistake is named in a second, before xarray is imported.
"""

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passband.config import Study, validate_stored
from passband.errors import ArgumentError, PassbandError
from passband.parts import Parts
from passband.parts.known import METRICS
from passband.results import layout, locate
from passband.results.results import Results
from passband.storage import integrity, json_text, metadata
from passband.storage.provenance import OWN_PARTS

#: Keys of the configuration that may differ between pieces: which networks a piece has, how its
#: jobs are divided, and how results are analysed.
MAY_DIFFER = (
    "study.name",
    "study.replicas",
    "study.replicas_per_job",
    "study.conditions_per_job",
    "study.structures_per_shard",
    "study.allow_incomplete",
    "grid",
    "test_grid",
    "training.architectures",
    "evaluation",
    "information",
    "figures",
)

#: The attributes of a packed file with its number among the files of its piece, from 1, and with
#: the number of these files. A piece in one file does not have them.
FILE, FILES = "packed_file", "packed_files"
#: The largest number of files of a packed piece, which is that of training conditions.
MOST_FILES = 10_000


@dataclass(frozen=True)
class Found:
    """A piece of a study, whose table was not read yet.

    Attributes:
        name: What the user calls the piece.
        path: Its table of results, or its zip file.
        attrs: The attributes of the table.
        study: The configuration in the attributes. It knows the parts of the study that was named.
    """

    name: str
    path: Path
    attrs: Mapping[str, Any]
    study: Study

    @property
    def own_metrics(self) -> list[str]:
        """The names of metrics and OOD metrics of the study's own, as far as they are known."""
        found = [part.name for part in self.study.known_parts.own if part.kind in METRICS]
        with suppress(ValueError, TypeError, KeyError):
            for each in json_text.parse(self.attrs[OWN_PARTS]):
                found += [str(each["name"])[:80]] if each["kind"] in METRICS else []
        return list(dict.fromkeys(found))

    @property
    def is_zip(self) -> bool:
        return self.path.suffix == ".zip"


def find(noun: str | Path | Results) -> Found:
    """Find a piece of a study.

    Args:
        noun: The study, its name, file or folder of results, a table of results ``table.zarr``,
            or a file from ``passband pack``.

    Raises:
        PassbandError: If there is no such piece, if it is damaged or has a newer format, or if it
            does not name its study.
    """
    path = noun.folder if isinstance(noun, Results) else locate.path_of(noun)
    known: Parts | None = None
    if not path.name.endswith((".zarr", ".zarr.zip")):
        results = (noun if isinstance(noun, Results) else Results.find(path)).existing()
        with suppress(PassbandError):  # results are enough, without the study's file
            known = results.study.known_parts
        path = results.path(layout.TABLE)
        if not path.exists():
            raise PassbandError(f"{noun}: has no {layout.TABLE}; run this piece to its end first")
    if not path.exists():
        raise PassbandError(f"{noun}: there is no such file or folder")
    integrity.check_regular(path)
    try:
        attrs = metadata.read_attributes(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise PassbandError(f"{path}: cannot be read: {words}; make this piece again") from None
    if "configuration" not in attrs:
        raise PassbandError(
            f"{noun}: does not name its study; give a folder of results, a table of results or a "
            "file from passband pack"
        )
    try:
        configuration = dict(json_text.parse(attrs["configuration"]))
    except (TypeError, ValueError):
        raise PassbandError(
            f"{noun}: its configuration is no JSON object; make this piece again"
        ) from None
    _check_numbers(str(noun), attrs)
    study = validate_stored(configuration, str(noun), known)
    return Found(str(noun), path, attrs, study)


def _check_numbers(name: str, attrs: Mapping[str, Any]) -> None:
    """Check the number of a file of a packed piece, and the number of its files."""
    if FILE not in attrs and FILES not in attrs:
        return
    most = MOST_FILES
    for key in (FILES, FILE):
        number = attrs.get(key)
        if type(number) is not int or not 1 <= number <= most:
            raise PassbandError(
                f"{name}: its {key} is {json.dumps(number)[:60]}, must be an integer from 1 to "
                f"{most:,}; make this piece again"
            )
        most = number


def find_all(nouns: Sequence[str | Path | Results]) -> list[Found]:
    """Find pieces of one study, see :func:`find`.

    Raises:
        PassbandError: As :func:`find`; if a key of the configuration differs that is not in
            :data:`MAY_DIFFER`, with a message of one line that has the key and both values; and if
            only some of the files of a packed piece are given.
    """
    pieces = [find(noun) for noun in nouns]
    _check_files(pieces)
    first, *others = (dict(_flat(piece.study.model_dump(mode="json"))) for piece in pieces)
    for piece, own in zip(pieces[1:], others, strict=True):
        for key in [*first, *(key for key in own if key not in first)]:
            if any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER):
                continue
            values = [json.dumps(keys.get(key), ensure_ascii=False) for keys in (first, own)]
            if values[0] != values[1]:
                raise PassbandError(
                    f"{key}: {values[0]} in {pieces[0].name}, {values[1]} in {piece.name}; the "
                    "pieces of a study must agree"
                )
    return pieces


def _check_files(pieces: Sequence[Found]) -> None:
    """Check that all files of each packed piece are given, since each has some of its networks."""
    numbers: dict[tuple, set[int]] = {}
    for piece in pieces:
        if FILES in piece.attrs:
            numbers.setdefault(_packed_piece(piece), set()).add(piece.attrs[FILE])
    for piece in pieces:
        number = piece.attrs.get(FILES, 0)
        if missing := [k for k in range(1, number + 1) if k not in numbers[_packed_piece(piece)]]:
            raise PassbandError(
                f"{piece.name}: is one of {number} files of the piece {piece.study.study.name}, "
                f"and number {missing[0]} is not given; give all of them, or pack the piece again"
            )


def _packed_piece(piece: Found) -> tuple:
    return piece.study.study.name, str(piece.attrs.get("config_digest")), piece.attrs[FILES]


def _flat(block: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def check_target(folder: Path) -> None:
    """Raise PassbandError if a folder has no name, or exists and is not empty."""
    if folder.name in ("", ".."):
        raise ArgumentError(f"into = {str(folder)!r}: must be the path of a new folder")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ArgumentError(f"into = {str(folder)!r}: exists; give a new folder, or delete it")
