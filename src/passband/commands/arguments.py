"""Arguments that several commands have, and checks of arguments."""

import argparse
import glob
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from passband.axes import AXES, BEHIND_WAVE, FURTHER_AXES, Axis
from passband.console import remark as report_remark
from passband.door import Experiment
from passband.door.arguments import check_file as check_file
from passband.parts import FOLDER
from passband.results import Results, layout, locate
from passband.results.locate import RESULTS
from passband.words import listed

#: The further axes that act behind the exit wave.
FURTHER_BEHIND = {name: axis for name, axis in BEHIND_WAVE.items() if name in FURTHER_AXES}
#: The formats of figures that commands draw.
FIGURES = ".png", ".svg", ".pdf"
#: What a user can give as a study.
STUDY = "a study: its file, its folder, its folder of results, or its name"

#: The study of a command without one.
DEFAULT_STUDY = Path("config.yaml")

#: The largest number of training conditions whose networks are ranked in seconds.
_MANY = 500


def add_study(command: argparse.ArgumentParser) -> None:
    """Add the argument `study` to a command; the default is ``config.yaml``."""
    study = command.add_argument(
        "study",
        nargs="?",
        type=locate.path_of,
        default=DEFAULT_STUDY,
        help=f"{STUDY} (default: {DEFAULT_STUDY})",
    )
    study.completer = complete_study  # argcomplete reads it


def add_trust(command: argparse.ArgumentParser) -> None:
    """Add the option `--trust-parts` to a command that may use networks of somebody else."""
    command.add_argument(
        "--trust-parts",
        action="store_true",
        help="run also code of parts that are stored with results or networks; only if you trust "
        "who wrote it",
    )


def add_set(command: argparse.ArgumentParser) -> None:
    """Add the option `--set`, which changes keys of the study, to a command."""
    command.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the study, such as training.epochs=3; may be given several times",
    )


def complete_study(prefix: str, **_) -> list[str]:
    """Return the studies whose file, folder or name begins with `prefix`, for a shell."""
    files = [path for path in glob.glob(f"{glob.escape(prefix)}*") if path.endswith(".yaml")]
    folders = [f"{path}/" for path in glob.glob(f"{glob.escape(prefix)}*") if os.path.isdir(path)]
    names = [Path(path).name for path in glob.glob(f"{RESULTS}/{glob.escape(prefix)}*/")]
    return sorted({*files, *folders, *names})


def add_axes(
    command: argparse.ArgumentParser,
    values: str = "a value, or a range such as {}",
    without: Collection[str] = (),
) -> None:
    """Add an option for each axis, except for the axes in `without`.

    The help lists further axes in two groups, each with one explanation.

    Args:
        values: What an option takes, for the help, with ``{}`` for an example of a range.
    """
    own = "(default: the study's own value)"
    further = command.add_argument_group("further axes", f"{values.format('1:5')} {own}")
    waves = command.add_argument_group(
        "further axes of exit waves", f"a value that the study has exit waves for {own}"
    )
    for name, axis in AXES.items():
        if name not in without:
            group = waves if axis.needs_waves else further if name in FURTHER_AXES else command
            said = f": {values.format(axis.example)}" if group is command else ""
            add_axis(group, axis, said)


def add_axis(
    group: argparse._ActionsContainer, axis: Axis, said: str = "", kind: type = str
) -> None:
    """Add the option for an axis, of a type. `said` has further words for its help."""
    unit = "" if axis.unit == "1" else f" [{axis.unit}]"
    text = f"{axis.label}{unit}{said}"
    group.add_argument(axis.option, dest=axis.name, type=kind, metavar="X", help=text)


def join_negative(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, with an option of an axis joined to a value that begins with a minus.

    Without this, argparse would regard a value such as ``-10:25`` as an option.
    """
    options = {axis.option for axis in AXES.values()}
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in options and re.match(r"-[\d.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def report_parts(results: Results) -> None:
    """Say which parts of a study, in which files, a command is going to run."""
    known = results.study.known_parts
    if known.own and known.is_trusted:
        names = ", ".join(f"{part.kind} {part.name}" for part in known.own)
        shown = [part.shown_file for part in known.own]
        shown += [f"{FOLDER}/{file.name}" for part in known.own for file in part.files]
        report_remark(f"runs the study's own parts: {names}; in {listed([*dict.fromkeys(shown)])}")


def report_failures(lines: Sequence[str], number: int) -> int:
    """Print why some of a number of files failed, and return the exit status: 1 if any did."""
    if not lines:
        return 0
    sys.stdout.flush()  # before what follows, also in a file with both
    print(f"{len(lines)} of {number} files failed:", *lines, sep="\n", file=sys.stderr)
    return 1


def find_study(
    noun: str | Path,
    report: Callable[[str], object] = report_remark,
    *,
    changes: Sequence[str] = (),
    name: str = "",
) -> Experiment:
    """Return the study that a user names, and report the study's remarks.

    Args:
        noun: See :meth:`passband.results.Results.find`.
        report: A function that is called with each remark on the study.
        changes: Changes of keys, such as ``training.epochs=3``. The changed study has no results.
        name: The changed study's name, if it is going to have results.
    """
    study = Experiment.find(noun)
    study.refuse_published()
    if changes or name:
        study = study.changed(changes, name)
    for remark in study.study.remarks:
        report(remark)
    return study


def report_many(results: Results) -> None:
    """Say why a command that ranks a study's networks prints nothing for a while, if it does."""
    if (number := results.study.train_number) > _MANY and results.has(layout.TABLE):
        report_remark(
            f"reading the Dice of networks of {number:,} training conditions, and "
            "fitting a model to it; the first call takes a minute or more, later ones take seconds"
        )
