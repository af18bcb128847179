"""Finds the study or the network that a user names by a file, a folder, or its name."""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from passband import repository
from passband.config import ConfigError, Study, load, validate_stored
from passband.errors import PassbandError
from passband.results import layout, published
from passband.storage import integrity, json_text, metadata
from passband.words import listed

#: The folder of results, in the folder in which Snakemake is started.
RESULTS = Path("results")
#: Number of studies that a message lists.
_LISTED = 8
#: The name of a study's file in its own folder, and of the demo's file in the repository.
CONFIG = "config.yaml"


def path_of(noun: str | Path) -> Path:
    """Return a user's word for a study or a network as a path.

    An empty word, such as that of an unset variable, names nothing. As a path, it would be the
    working directory, whose study would then run.
    """
    return Path(noun or "''")


def folder_of(noun: Path) -> Path | None:
    """Return the folder of results that `noun` names; None if `noun` is a file or its folder.

    Raises:
        PassbandError: If there is no such file, folder or study.
    """
    # A study's name has priority over a folder with the same name, such as docs.
    by_name = RESULTS / noun
    is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}", str(noun)) is not None
    if is_name and not noun.is_file():
        inside = noun / by_name  # made by `cd mine && passband run`
        if inside.is_dir() and not by_name.is_dir():
            return inside
        if by_name.is_dir() or is_here(str(noun)):
            return by_name
    if noun.is_dir():
        return None if (noun / CONFIG).is_file() and not _is_of_results(noun) else noun
    if noun.suffix or noun.exists():
        return None  # reading the file will report what is wrong with the file
    if not is_name:
        raise PassbandError(
            f"{noun}: there is no such file or folder; give a study's file, its folder, its "
            "results or its name"
        )
    if _own_study(str(noun)):
        return by_name
    known = study_names()
    if str(noun) in published.shipped():
        raise PassbandError(
            f"{noun}: no study of this name, but a network of the package, for passband predict, "
            f"or for passband new mine --like {noun}; give a study: {here(known)}"
        )
    raise PassbandError(
        f"{noun}: no study of this name: it is no file, there is no folder {by_name}; "
        f"{meant(str(noun), known)}{here(known)}"
    )


def _is_of_results(folder: Path) -> bool:
    """Return whether a folder has results or a published network, whatever else is in it."""
    stores = layout.TABLE, layout.OOD, layout.INFORMATION, layout.PREDICTION
    return (
        folder.absolute().parent.name == RESULTS.name
        or any((folder / name).exists() for name in (*stores, published.WEIGHTS))
        or any((folder / layout.NETWORKS).glob("*/*/*/*.safetensors"))
    )


def here(known: Sequence[str] = ()) -> str:
    """Return words about the studies in the working directory; `known` are those of files."""
    if not (names := _names_here(known)):
        return "no study is here; make one: passband new mine"
    more = len(names) - _LISTED
    named = ", ".join(names[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")
    return f"here {'are' if len(names) > 1 else 'is'} {named}"


def meant(noun: str, known: Sequence[str] = ()) -> str:
    """Return a question about the studies and networks with a similar name, or "".

    These are the studies in the working directory, those of Passband, and its networks.
    """
    own: dict[str, Path] = {}
    with suppress(PassbandError):  # a package without its studies
        own = repository.studies()
    names = dict.fromkeys([*_names_here(known), *published.shipped(), *own])
    near = difflib.get_close_matches(noun, names, 3, cutoff=0.75)
    return f"did you mean {listed(near, 'or')}? " if near else ""


def _names_here(known: Sequence[str]) -> list[str]:
    """Return names by which the studies in the working directory can be given, sorted."""
    folders = (file.parent for file in Path().glob(f"*/{CONFIG}"))
    results = (folder for folder in RESULTS.glob("*/") if folder.is_dir())
    return sorted({*known, *(folder.name for folder in (*folders, *results))})


def network_path(noun: str | Path) -> Path | None:
    """Return the weights file or the published folder that a user names; None if it is a study.

    A network of the package has its name, unless a file, a folder or a study in the working
    directory has this name.
    """
    path = Path(noun)
    if str(noun) in published.shipped() and not path.exists() and not is_here(str(noun)):
        return published.shipped()[str(noun)]
    is_weights = path.suffix == ".safetensors" or (
        path.is_file() and path.suffix not in (".yaml", ".yml")
    )
    return path if is_weights or (path / published.WEIGHTS).is_file() else None


def file_of(results: Path, noun: str | Path) -> Path | None:
    """Return the file of the study that has a folder of results; None if there is no file.

    Raises:
        PassbandError: If several files have the study's name.
    """
    root = results.absolute().parent.parent
    name = results.absolute().name
    own = root / name / CONFIG, results / layout.STUDY
    files = [file for file, its in _names(root, own, name) if its == name]
    if len(files) > 1:
        raise PassbandError(
            f"{noun}: {' and '.join(str(shown(file)) for file in files)} have this name; give the "
            "file that you mean"
        )
    return shown(files[0]) if files else None


def own_file_of(results: Path) -> Path | None:
    """Return the file of Passband's own study with the name of a folder of results.

    None if there is no such study, or if the results are those of a different study.
    """
    file = _own_study(results.absolute().name)
    return file if file and recorded(results) in (None, load(file)) else None


def _own_study(name: str) -> Path | None:
    with suppress(PassbandError):  # a package without its studies can still open results
        return repository.studies().get(name)
    return None


def study_names() -> list[str]:
    """Return the names of the studies whose files are in the working directory, sorted."""
    return sorted({name for _, name in _names(Path())})


def is_here(name: str) -> bool:
    """Return whether a study of this name has its file in the working directory."""
    return any(its == name for _, its in _names(Path(), having=name))


def _names(root: Path, own: Sequence[Path] = (), having: str = "") -> Iterator[tuple[Path, str]]:
    """Yield each valid study file of a folder, and the name of the study in the file.

    `own` are further files. Files without the text `having` are not loaded, which takes long.
    """
    for file in (root / CONFIG, *sorted((root / "studies").glob("*.yaml")), *own):
        with suppress(ConfigError, OSError):
            if having.encode() in file.read_bytes():
                yield file, load(file).study.name


def recorded(results: Path) -> Study | None:
    """Return the valid study in the attributes of the results, or None."""
    for name in (layout.TABLE, layout.OOD, layout.INFORMATION):
        if stored := configuration(results / name):
            with suppress(ConfigError):
                return validate_stored(stored, str(results), _stored_parts(results, name))
    return None


def _stored_parts(results: Path, store: str) -> Path | None:
    """Return the folder with the own parts of the study that made a store; None without any."""
    digest = str(metadata.read_attributes(results / store).get("config_digest"))
    if not re.fullmatch("[0-9a-f]{16}", digest):
        return None
    return results / layout.PARTS.format(digest=digest)


def configuration(store: Path) -> dict[str, Any]:
    """Return the configuration in the attributes of a store; empty if it cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        integrity.check_regular(store)
        return dict(json_text.parse(metadata.read_attributes(store)["configuration"]))
    return {}


def shown(path: Path) -> Path:
    """Return a path relative to the working directory. A path outside it is unchanged."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
