"""``passband run``: run a study to its end, with one display of its progress."""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from passband.commands.arguments import add_set, add_study, find_study, report_parts
from passband.commands.machine import add_machine
from passband.commands.outcome_text import draw
from passband.results.locate import RESULTS
from passband.runs.child import signals_passed_on

#: The options of this command that have a value.
_WITH_VALUE = ("--cores", "--profile", "--set", "--name")


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "run",
        allow_abbrev=False,
        description="Run a study to its end, and continue it if it was stopped. Other options, and "
        "all words after --, go to Snakemake.",
    )
    add_study(command)
    add_machine(command)
    add_set(command)
    command.add_argument(
        "--name", metavar="NEW", help="with --set: a new name; the changed study is in results/NEW"
    )
    command.add_argument(
        "-n", "--dry-run", action="store_true", help="only list the jobs that would run"
    )
    command.add_argument(
        "--why", action="store_true", help="with --dry-run: say also why each job would run"
    )
    command.add_argument(
        "--no-explorer", action="store_true", help="do not make the explorer, which is made last"
    )
    command.set_defaults(run=run, for_snakemake=[])


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments so that argparse finds the study and the option `-n`.

    In `-np`, argparse would read the letter after `-n` as its value, which it does not have. Before
    the study, options of Snakemake may have values, which argparse would take as the study: the
    first word that is a study goes to the front.
    """
    given: list[str] = []
    for argument in arguments:
        if joined := re.fullmatch(r"-([Fkp]*)n([A-Za-z].*)?", argument):
            given += ["-n", *(f"-{letters}" for letters in joined.groups() if letters)]
        else:
            given.append(argument)
    for place, argument in enumerate(given[1:], 1):
        before = given[place - 1]
        if argument.startswith("-") or before in _WITH_VALUE:
            continue
        if _is_study(argument):
            return [given[0], argument, *given[1:place], *given[place + 1 :]]
        if not before.startswith("-") and place == 1:
            break  # a study that is not known
    return given


def _is_study(word: str) -> bool:
    return Path(word).exists() or (RESULTS / word).is_dir()


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status.

    Returns:
        0 if Snakemake has done what it was told to.
    """
    # Snakemake reports the remarks, so they are not reported twice.
    study = find_study(
        options.study,
        lambda remark: None,
        changes=options.changes,
        name=options.name or "",
    )
    report_parts(study)
    where = {
        "cores": options.cores,
        "profile": options.profile,
        "snakemake": options.for_snakemake,
        "dry_run": options.dry_run,
    }
    with signals_passed_on():
        ran = study.run(**where, explorer=not options.no_explorer, why=options.why)
    if ran.complete:
        print()
        draw(f"{ran}\n{_next(study.name)}")
    elif text := str(ran):
        print(text)
    return 0


def _next(name: str) -> str:
    """Return what to type after a study is complete."""
    lines = ["Then type, for example:"]
    if sys.prefix != sys.base_prefix and not _is_active():
        lines.append(f"  source {_shown(Path(sys.prefix))}/bin/activate")
    return "\n".join([*lines, f"  passband table {name} --csv {name}.csv"])


def _is_active() -> bool:
    """Return whether the user's shell finds this `passband`; make has a path of its own."""
    if "MAKELEVEL" in os.environ:
        return os.path.realpath(os.environ.get("VIRTUAL_ENV", "")) == os.path.realpath(sys.prefix)
    found = shutil.which("passband")
    return found is not None and Path(found).resolve() == Path(sys.prefix, "bin/passband").resolve()


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
