"""Finds the study that a user names by its file, its folder of results, or its name."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from passband import PassbandError
from passband.config import ConfigError, Study, load, validate

#: The folder of results, in the folder in which Snakemake is started.
RESULTS = Path("results")


def locate_study(noun: str | Path) -> tuple[Study, Path]:
    """Return a study and the study's folder of results, which may not exist yet.

    Parameters
    ----------
    noun : str or path
        A study's file, the study's folder of results, or the study's name. For a folder or a name,
        the study's file is searched in `config.yaml` and `studies/*.yaml` beside the folder
        `results`. If no file has a study of this name, the study is read from the attributes of the
        results.

    Raises
    ------
    ConfigError
        If the study's file is wrong.
    PassbandError
        If there is no such study, or if several studies have that name.
    """
    noun = Path(noun)
    results = _results(noun)
    if results is None:
        study = load(noun)
        return study, RESULTS / study.study.name
    root, name = results.absolute().parent.parent, results.absolute().name
    files = [file for file, its in _names(root) if its == name]
    if len(files) > 1:
        raise PassbandError(
            f"{noun}: {' and '.join(str(_shown(file)) for file in files)} have this name; give the "
            "file that you mean"
        )
    if files:
        return load(_shown(files[0])), results
    if study := _recorded(results):
        return study, results
    raise PassbandError(
        f"{noun}: neither {_shown(root / 'config.yaml')} nor a file in {_shown(root / 'studies')} "
        "has a study of this name, and the results do not name their study; give the study's "
        "file"
    )


def open_study(
    noun: str | Path, report: Callable[[str], object], crystals: bool = False
) -> tuple[Study, Path]:
    """Return a study and its folder of results, and report the study's remarks to the user.

    Parameters
    ----------
    noun : str or path
        See :func:`locate_study`.
    report : callable
        A function that is called with each remark on the study.
    crystals : bool
        Whether to make trial particles of those specimens that need a trial. This takes seconds.

    Raises
    ------
    ConfigError, PassbandError
        As :func:`locate_study`, and if a specimen cannot be made.
    """
    study, results = locate_study(noun)
    for remark in study.remarks:
        report(remark)
    if crystals and study.needs_trial_particles:
        from passband.specimens import structures  # ase takes a second to import

        structures.check(study)
    return study, results


def locate_results(noun: str | Path) -> Path:
    """Return a study's folder of results. The study's file may be absent.

    Raises
    ------
    ConfigError, PassbandError
        As :func:`locate_study`, and if there are no results.
    """
    noun = Path(noun)
    results = _results(noun) or RESULTS / load(noun).study.name
    if not results.is_dir():
        raise PassbandError(f"{noun}: there is no folder {results} yet; run the study first")
    return results


def _results(noun: Path) -> Path | None:
    """Return the folder of results that `noun` names, or None if `noun` is a file.

    Raises
    ------
    PassbandError
        If there is no such file, folder or study.
    """
    # A study's name has priority over a folder with the same name, such as docs.
    by_name = RESULTS / noun
    is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}", str(noun)) is not None
    if is_name and not noun.is_file():
        known = sorted({name for _, name in _names(Path())})
        if by_name.is_dir() or str(noun) in known:
            return by_name
    if noun.is_dir():
        return noun
    if noun.suffix or noun.exists():
        return None  # reading the file will report what is wrong with the file
    if not is_name:
        raise PassbandError(
            f"{noun}: there is no such file or folder; give a study's file, its folder of results, "
            "or its name"
        )
    raise PassbandError(
        f"{noun}: no study of this name: it is no file, there is no folder {by_name}, and "
        + (f"config.yaml and studies/ have {', '.join(known)}" if known else "no study is here")
    )


def _names(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each valid study file of a checkout, and the name of the study in the file."""
    for file in (root / "config.yaml", *sorted((root / "studies").glob("*.yaml"))):
        with suppress(ConfigError):
            yield file, load(file).study.name


def _recorded(results: Path) -> Study | None:
    """Return the valid study in the attributes of the results, or None."""
    for name in ("table.zarr", "ood.zarr", "information.zarr"):
        # Read as JSON, since only the attributes are needed and zarr takes a second to import.
        with suppress(OSError, ValueError, KeyError, TypeError, ConfigError):
            text = (results / name / "zarr.json").read_text(encoding="utf-8")
            return validate(
                json.loads(json.loads(text)["attributes"]["configuration"]), str(results)
            )
    return None


def _shown(path: Path) -> Path:
    """Return a path relative to the working directory. A path outside it is unchanged."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
