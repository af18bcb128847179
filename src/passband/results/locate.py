"""Finds the study that a user names by its file, a folder, or its name."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from passband import PassbandError
from passband.config import ConfigError, Study, check_new, load, validate_stored
from passband.results import layout, training_jobs
from passband.storage import integrity

#: The folder of results, in the folder in which Snakemake is started.
RESULTS = Path("results")
#: The name of a study's file in its own folder, and of the demo's file in the repository.
CONFIG = "config.yaml"
#: A file of every published folder.
PUBLISHED_WEIGHTS = "weights.safetensors"


def locate_study(noun: str | Path) -> tuple[Study, Path]:
    """Return a study and the study's folder of results, which may not exist yet.

    Args:
        noun: A study's file, a folder with the study's file `config.yaml`, the study's folder of
            results, or the study's name. For a folder of results or a name, the study's file is
            searched in `config.yaml`, `studies/*.yaml` and `<name>/config.yaml` beside the folder
            `results`. If no file has a study of this name, the study is read from the attributes of
            the results.

    Raises:
        ConfigError: If the study's file is wrong.
        PassbandError: If there is no such study, or if several studies have that name.
    """
    noun = Path(noun)
    results = _results(noun)
    if file := _file(noun) if results is None else _file_of(results, noun):
        study = load(file)
        results = results or RESULTS / study.study.name
        check_new(study, str(file), results)
        return study, results
    if study := _recorded(results):
        return study, results
    root = results.absolute().parent.parent
    raise PassbandError(
        f"{noun}: neither {_shown(root / CONFIG)} nor a file in {_shown(root / 'studies')} "
        "has a study of this name, and the results do not name their study; give the study's "
        "file"
    )


def locate_file(noun: str | Path) -> tuple[Path, Path]:
    """Return a study's file, and the folder in which Snakemake runs the study.

    Raises:
        ConfigError, PassbandError: As :func:`locate_study`, and if the study has results but no
            file.
    """
    noun = Path(noun)
    results = _results(noun)
    if results is None:
        file = _file(noun)
        study = load(file)
        check_new(study, str(file), RESULTS / study.study.name)
        return file, Path()
    root = results.absolute().parent.parent
    if file := _file_of(results, noun):
        return file, Path(_shown(root))
    raise PassbandError(f"{noun}: no file has a study of this name; give the study's file")


def _file_of(results: Path, noun: Path) -> Path | None:
    """Return the file of the study that has a folder of results; None if there is no file."""
    root, name = results.absolute().parent.parent, results.absolute().name
    files = [file for file, its in _names(root, name) if its == name]
    if len(files) > 1:
        raise PassbandError(
            f"{noun}: {' and '.join(str(_shown(file)) for file in files)} have this name; give the "
            "file that you mean"
        )
    return _shown(files[0]) if files else None


def _file(noun: Path) -> Path:
    """Return the file of a study from the file or the file's folder."""
    return noun / CONFIG if noun.is_dir() else noun


def open_study(
    noun: str | Path, report: Callable[[str], object], crystals: bool = False
) -> tuple[Study, Path]:
    """Return a study and its folder of results, and report the study's remarks to the user.

    Args:
        noun: See :func:`locate_study`.
        report: A function that is called with each remark on the study.
        crystals: Whether to make trial particles of those specimens that need a trial. This takes
            seconds.

    Raises:
        ConfigError, PassbandError: As :func:`locate_study`, and if a specimen cannot be made.
    """
    study, results = locate_study(noun)
    for remark in study.remarks:
        report(remark)
    if crystals and study.needs_trial_particles:
        from passband.specimens import structures  # ase takes a second to import

        structures.check(study)
    return study, results


def open_results(noun: str | Path, report: Callable[[str], object]) -> tuple[Study, Path]:
    """Return a study and its folder of results as :func:`open_study`, for a reader of the results.

    Raises:
        ConfigError, PassbandError: As :func:`open_study`, and if the results have other names, see
            :func:`_check_names`.
    """
    study, results = open_study(noun, report)
    _check_names(study, results)
    return study, results


def locate_results(noun: str | Path) -> Path:
    """Return a study's folder of results. The study's file may be absent.

    Raises:
        ConfigError, PassbandError: As :func:`locate_study`; if there are no results, or results of
            other names, see :func:`_check_names`.
    """
    noun, study = Path(noun), None
    if (results := _results(noun)) is None:
        study = load(_file(noun))
        results = RESULTS / study.study.name
    existing(noun, results)
    with suppress(PassbandError):  # the results may have no file, or several
        study = study or locate_study(noun)[0]
    if study is not None:
        _check_names(study, results)
    return results


def _check_names(study: Study, results: Path) -> None:
    """Check that a study has the specimens and architectures of its finished results.

    Raises:
        PassbandError: If the study's file has another name for one of them, so that the results are
            not its own.
    """
    for store in (results / layout.TABLE, results / layout.OOD):
        before = _configuration(store)
        for key, names, known in (
            ("specimens", study.specimens, before.get("specimens", ())),
            (
                "training.architectures",
                study.training.architectures,
                before.get("training", {}).get("architectures", ()),
            ),
        ):
            if gone := [name for name in known if name not in names]:
                raise PassbandError(
                    f"{key} = {', '.join(names)}: {store} has results of {', '.join(gone)}; change "
                    "the name back, or run the study again"
                )


def present_networks(results: Path) -> frozenset[Path]:
    """Return the weights files of the present jobs of a study; none if the study is not found.

    A folder of results may have files of other jobs too, which the study had before.

    Args:
        results: The study's folder of results. The paths begin with it.
    """
    try:
        study, _ = locate_study(results)
    except PassbandError:
        return frozenset()
    return frozenset(results / job.path(layout.WEIGHTS) for job in training_jobs.jobs_of(study))


def is_published(noun: str | Path) -> bool:
    """Return whether a user's word for a study is the path of a published folder."""
    return (Path(noun) / PUBLISHED_WEIGHTS).is_file()


def existing(noun: str | Path, results: Path) -> Path:
    """Return the folder of results of the study that a user calls `noun`, if there is the folder.

    Raises:
        PassbandError: If there are no results.
    """
    if not results.is_dir():
        raise PassbandError(f"{noun}: there is no folder {results} yet; run the study first")
    return results


def _results(noun: Path) -> Path | None:
    """Return the folder of results that `noun` names; None if `noun` is a file or its folder.

    Raises:
        PassbandError: If there is no such file, folder or study.
    """
    # A study's name has priority over a folder with the same name, such as docs.
    by_name = RESULTS / noun
    is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}", str(noun)) is not None
    if is_name and not noun.is_file():
        known = study_names()
        if by_name.is_dir() or str(noun) in known:
            return by_name
    if noun.is_dir():
        return None if (noun / CONFIG).is_file() else noun
    if noun.suffix or noun.exists():
        return None  # reading the file will report what is wrong with the file
    if not is_name:
        raise PassbandError(
            f"{noun}: there is no such file or folder; give a study's file, its folder, its "
            "results or its name"
        )
    raise PassbandError(
        f"{noun}: no study of this name: it is no file, there is no folder {by_name}, and "
        + (f"config.yaml and studies/ have {', '.join(known)}" if known else "no study is here")
    )


def study_names() -> list[str]:
    """Return the names of the studies whose files are in the working directory, sorted."""
    return sorted({name for _, name in _names(Path())})


def _names(root: Path, name: str = "") -> Iterator[tuple[Path, str]]:
    """Yield each valid study file of a folder, and the name of the study in the file.

    With a `name`, the folder with this name may have a study's file, too.
    """
    own = [root / name / CONFIG] if name else []
    for file in (root / CONFIG, *sorted((root / "studies").glob("*.yaml")), *own):
        with suppress(ConfigError):
            yield file, load(file).study.name


def _recorded(results: Path) -> Study | None:
    """Return the valid study in the attributes of the results, or None."""
    for name in (layout.TABLE, layout.OOD, layout.INFORMATION):
        if configuration := _configuration(results / name):
            with suppress(ConfigError):
                return validate_stored(configuration, str(results))
    return None


def _configuration(store: Path) -> dict[str, Any]:
    """Return the configuration in the attributes of a store; empty if it cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        integrity.check_regular(store)
        return dict(json.loads(integrity.read_attributes(store)["configuration"]))
    return {}


def _shown(path: Path) -> Path:
    """Return a path relative to the working directory. A path outside it is unchanged."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
