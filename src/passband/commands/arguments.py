"""Arguments that several commands have, and checks of arguments."""

import argparse
import difflib
import glob
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from passband.axes import AXES, BEHIND_WAVE, FURTHER_AXES, MAIN_AXES, Axis
from passband.console import remark as report_remark
from passband.door import Experiment
from passband.door.argument_checks import check_file as check_file
from passband.errors import PassbandError
from passband.parts import FOLDER
from passband.results import Results, layout, locate
from passband.results.locate import RESULTS
from passband.units import in_known_unit
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
    command: argparse.ArgumentParser, values: str = "a value, or a range such as {}"
) -> None:
    """Add an option for each axis of every study, and `--axis` for the further axes.

    Args:
        values: What an option takes, for the help, with ``{}`` for an example of a range.
    """
    for axis in MAIN_AXES.values():
        add_axis(command, axis, f": {values.format(axis.example)}")
    add_further(command, FURTHER_AXES, values.format("1:5"))


def add_axis(
    group: argparse._ActionsContainer, axis: Axis, said: str = "", kind: type = str
) -> None:
    """Add the option for an axis, of a type. `said` has further words for its help."""
    unit = "" if axis.unit == "1" else f" [{axis.unit}]"
    text = f"{axis.label}{unit}{said}"
    group.add_argument(axis.option, dest=axis.name, type=kind, metavar="X", help=text)


def add_further(
    group: argparse._ActionsContainer, axes: Collection[str], values: str = "a value"
) -> None:
    """Add the option `--axis` for further axes. `values` says for the help what it takes."""
    behind = [name for name in axes if name in BEHIND_WAVE]
    waves = [name for name in axes if name not in BEHIND_WAVE]
    single = f"; with a value that the study has exit waves for: {', '.join(waves)}"
    group.add_argument(
        "--axis",
        dest="axes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"a further axis with {values} (default: the study's own value); may be given several "
        f"times: {', '.join(behind)}{single if waves else ''}",
    )


def axes_given(
    options: argparse.Namespace, further: Collection[str] = FURTHER_AXES
) -> dict[str, str | float | None]:
    """Return what is given for each axis, with None where nothing is.

    Args:
        further: The further axes that the command knows.

    Raises:
        PassbandError: If a word of `--axis` has no name, no value, or another name, or if an axis
            is given twice.
    """
    found = {name: getattr(options, name) for name in MAIN_AXES} | dict.fromkeys(further)
    for word in options.axes:
        name, is_given, value = word.partition("=")
        if name in MAIN_AXES:
            raise PassbandError(f"--axis {word}: write {MAIN_AXES[name].on_command_line(value)}")
        if name not in further:
            own = f"--{name.replace('_', '-')}"
            meant = "".join(f"did you mean {near}? " for near in _near(name, further))
            if name in AXES and own in options.known_options:
                meant = f"write {own} {value}; "
            raise PassbandError(f"--axis {word}: {meant}further axes are {', '.join(further)}")
        if not is_given or not value:
            raise PassbandError(f"--axis {word}: has no value; write --axis {name}=VALUE")
        if found[name] is not None:
            raise PassbandError(f"--axis {word}: the axis is given twice")
        found[name] = value
    return found


def _near(name: str, further: Collection[str]) -> list[str]:
    """Return the axis that was meant, also in another unit; none if there is no such axis."""
    same = in_known_unit(name, further)
    return [same] if same else difflib.get_close_matches(name, further, 1)


def former_option(words: Sequence[str], rest: Sequence[str]) -> str | None:
    """Return how to write the first further axis that is spelled as an option, or None.

    Args:
        words: All words of a command.
        rest: Those that it does not know.
    """
    spelled = {f"--{name.replace('_', '-')}": axis for name, axis in FURTHER_AXES.items()}
    for place, word in enumerate(words):
        option, is_joined, value = word.partition("=")
        if option in spelled and word in rest:
            value = value if is_joined else "".join(words[place + 1 : place + 2])
            return f"{option}: write {spelled[option].on_command_line(value)}"
    return None


def join_negative(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, with an option of an axis joined to a value that begins with a minus.

    Without this, argparse would regard a value such as ``-10:25`` as an option.
    """
    options = {f"--{name.replace('_', '-')}" for name in AXES}
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
