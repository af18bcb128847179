"""Starts Snakemake on a study's file, as `passband run` and the commands for single outputs do."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import yaml

from passband import repository
from passband.errors import PassbandError

#: The profile of all runs.
_DEFAULT = Path("profiles") / "default"


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
    profile = root / _DEFAULT
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
    option = "--profile" if given else variable
    raise PassbandError(
        f"{option} = {name!r}: must be one of {', '.join(n for n in known if n != _DEFAULT.name)}, "
        "or the path of another, such as ./mine"
    )


def profiles_left_out(folder: Path) -> list[str]:
    """Return a line for each default profile in a folder that Snakemake alone would load."""
    own = repository.folder() / _DEFAULT
    return [
        f"{folder}/{place} is not loaded; if it is yours, give --profile {folder}/{place}"
        for place in (_DEFAULT.name, _DEFAULT)
        if (folder / place).exists() and not (folder / place).samefile(own)
    ]


def run(words: Sequence[str], folder: Path, quiet: bool = False) -> int:
    """Run a command to its end, and return its exit status.

    The command and its children are in their own process group, to which this process sends on
    Ctrl-C once, and the signals to end and to pause. So Ctrl-C reaches all of them in the same way
    whether it was typed or sent to this process alone. If the terminal is closed, the group
    receives SIGTERM.

    Args:
        quiet: Whether to show the command's output only if the command fails.

    Returns:
        The exit status, or 128 and the number of the signal that ended the command: 130 after
        Ctrl-C.
    """
    # Snakemake starts `python` and `snakemake` by name, and its plugins start programs of the
    # system.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH') or os.defpath}"
    # This process prints what a dry run lists, so that errors of its output are noticed.
    lists = "--dry-run" in words
    process: subprocess.Popen | None = None
    received: list[int] = []
    unsent: list[int] = []

    def send() -> None:
        """Send on what was received; before the command has started, the signals wait."""
        while process is not None and unsent:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, unsent.pop(0))

    def forward(number: int, _) -> None:
        received.append(number)
        # After SIGTERM, Snakemake's jobs save their state; after SIGHUP, they do not.
        unsent.append(signal.SIGTERM if number == signal.SIGHUP else number)
        send()

    def pause(*_) -> None:
        unsent.append(signal.SIGSTOP)
        send()
        os.kill(os.getpid(), signal.SIGSTOP)
        unsent.append(signal.SIGCONT)
        send()

    with ExitStack() as stack:
        for number, handler in (
            (signal.SIGINT, forward),
            (signal.SIGTERM, forward),
            (signal.SIGHUP, forward),
            (signal.SIGQUIT, forward),
            (signal.SIGTSTP, pause),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as with nohup
                stack.callback(signal.signal, number, signal.signal(number, handler))
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=os.environ | {"PATH": path},
            process_group=0,
            stdout=subprocess.PIPE if quiet or lists else None,
            stderr=subprocess.STDOUT if quiet else None,
            text=True,
            errors="replace",
        )
        send()
        printed, _ = process.communicate()
    if received:
        return 128 + received[0]
    if quiet and process.returncode:
        sys.stderr.write(printed)
    elif lists:
        sys.stdout.write(printed)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode
