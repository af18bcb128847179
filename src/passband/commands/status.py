"""``passband status``: draw which jobs are done, run, failed or wait; or follow a run."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from passband.commands.arguments import add_study, find_study
from passband.results import layout

if TYPE_CHECKING:
    from passband.runs.status import Status

#: Time between two looks of `status --watch` at the results [s].
_WATCH_S = 10.0


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("status")
    add_study(command)
    command.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=_WATCH_S,
        metavar="seconds",
        help="show the display of `passband run` for a run that was started elsewhere, until the "
        "study is complete (exit status 0), or a job has failed and no job runs (1); the results "
        f"are read every {_WATCH_S:g} s, or after the given number of seconds",
    )
    command.add_argument(
        "--json", action="store_true", help="print a line of JSON for scripts (docs/cluster.md)"
    )
    command.set_defaults(run=run)


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, with the default time added to a `--watch` that has no number.

    Without this default, argparse would read the next argument, such as the study, as the time.
    """
    given = list(arguments)
    for place, argument in enumerate(given):
        if argument == "--watch" and not _is_number("".join(given[place + 1 : place + 2])):
            given[place] = f"--watch={_WATCH_S:g}"
    return given


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status.

    Returns:
        With `--watch`, 1 if a job has failed and no job runs; otherwise 0.
    """
    study = find_study(options.study)
    try:
        if options.watch is not None:
            watched = study.watch(options.watch)
            return (_print_changes if options.json else _follow)(watched)
        status = study.status()
        if options.json:
            print(status.to_json())
        else:
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            print(status.text(shutil.get_terminal_size().columns, colour))
    except KeyboardInterrupt:
        pass
    return 0


def _print_changes(watched: "Iterator[Status]") -> int:
    """Print a line of JSON whenever a job's state changes, and return the exit status."""
    before = None
    for status in watched:
        now = status.run.jobs, status.run.snakemake
        if now != before:
            print(status.to_json(), flush=True)
        before = now
    return 1 if status.failed else 0


def _follow(watched: "Iterator[Status]") -> int:
    """Show a run until it is over, and return the exit status."""
    from passband.runs.display import display
    from passband.runs.status_page import at_work

    first = next(watched)
    run = first.run
    shown = display(sys.stdout, run)
    shown.start(
        f"{run.name}: {run.expected.total():,} jobs, {run.done.total():,} are done; "
        f"the results are in {run.results}"
    )
    try:
        for _ in chain([first], watched):
            shown.note = "" if run.running or run.complete else at_work(run)
            shown.show_changes()
    except BaseException:
        shown.stop("no longer watched")
        raise
    shown.stop()
    if run.complete:
        print(f"The study is complete; open {run.results.path(layout.REPORT)} in a browser.")
    return 1 if run.failed else 0
