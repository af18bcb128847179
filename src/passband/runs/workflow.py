"""The command that runs Snakemake on a study's file."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import yaml

from passband import repository
from passband.errors import ArgumentError, PassbandError

#: The profile of all runs.
DEFAULT = Path("profiles") / "default"


def command(
    file: Path,
    folder: Path,
    targets: Sequence[str] = (),
    *,
    cores: str | None = None,
    profile: str | None = None,
    words: Sequence[str] = (),
) -> list[str]:
    """Return the command that runs Snakemake.

    Args:
        file, folder: The study's file, and the folder in which Snakemake is going to run.
        targets: The files or rules to make; by default, all of the study.
        cores: Number of cores, or "all". The default is "all" without a profile, and otherwise what
            the profile says.
        profile: The name of a folder in `profiles/`, or the path of another profile, from the
            working directory. The default is the environment variable ``SNAKEMAKE_PROFILE``.
        words: Further words for Snakemake.

    Raises:
        PassbandError: If there is no workflow, or no such profile, or if Snakemake would import
            packages that are in the folder.
    """
    root = repository.folder()
    if (packages := folder / ".snakemake" / "pip-deployments").exists():
        raise PassbandError(f"{packages}: Snakemake would run what is in it; delete it")
    given = [sys.executable, "-m", "snakemake"]
    if root != folder.resolve():
        given += ["--snakefile", str(root / "Snakefile")]
    profile = _profile(profile, root)
    # Without the word `none`, Snakemake would read an empty variable.
    given += ["--logger", "passband", "--profile", profile or "none"]
    given += _default_options(root)
    if cores is not None or profile is None:
        given += ["--cores", cores or "all"]
    # The option --configfile would take words after it for further files.
    given += [*words, "--configfile", os.path.relpath(file, folder)]
    return [*given, "--", *targets] if targets else given


def _default_options(root: Path) -> list[str]:
    """Return the options of the profile of all runs. Snakemake would announce what it reads itself.

    It reads the profile nevertheless if somebody has added a key that is a block. The paths in the
    profile begin in `root`, which is not where Snakemake is started.
    """
    profile = root / DEFAULT
    keys = yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8"))
    if any(isinstance(value, dict) for value in keys.values()):
        return ["--workflow-profile", str(profile)]
    words = []
    for key, value in keys.items():
        values = value if isinstance(value, list) else [] if value is True else [value]
        values = [str(root / v if (root / str(v)).is_file() else v) for v in values]
        words += [f"--{key}", *values] if value is not False else []
    return [*words, "--workflow-profile", "none"]  # otherwise Snakemake would look in the folder


def _profile(given: str | None, root: Path) -> str | None:
    """Return the folder of a profile. A name never means a folder beside the study."""
    variable = "SNAKEMAKE_PROFILE"
    name = os.environ.get(variable) if given is None else given
    if not name:
        return None
    known = sorted(path.parent.name for path in (root / "profiles").glob("*/config.yaml"))
    if name in known:
        return str(root / "profiles" / name)
    if os.sep in name and Path(name).exists():
        return os.path.abspath(name)
    option = "profile" if given else variable
    allowed = ", ".join(n for n in known if n != DEFAULT.name)
    raise ArgumentError(
        f"{option} = {name!r}: must be one of {allowed}, or the path of another, such as ./mine"
    )


def profiles_left_out(folder: Path) -> list[str]:
    """Return a line for each default profile in a folder that Snakemake alone would load."""
    own = repository.folder() / DEFAULT
    return [
        f"{folder}/{place} is not loaded; if it is yours, give --profile {folder}/{place}"
        for place in (DEFAULT.name, DEFAULT)
        if (folder / place).exists() and not (folder / place).samefile(own)
    ]


def check_words(words: Sequence[str]) -> None:
    """Raise PassbandError if Snakemake, which would print a long help, refuses further words."""
    if not words:
        return
    if "" in words:  # such as an unset variable, which Snakemake would take for a file
        raise WordsError("passband run: '': is an empty word; give a file, a rule, or nothing")
    from snakemake.cli import get_argument_parser  # takes seconds to import

    def refuse(message: str) -> NoReturn:
        raise WordsError(
            f"passband run: {message}; `passband run --help` lists the options, and "
            "`snakemake --help` those of Snakemake"
        )

    parser = get_argument_parser()
    parser.error = refuse
    parser.parse_args(list(words))


class WordsError(PassbandError):
    """Snakemake does not know a word."""

    exit_status = 2
