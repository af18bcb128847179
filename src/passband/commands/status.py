"""``passband status``: draw the grid, with the finished, running, failed and waiting jobs."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence

from passband import PassbandError
from passband.commands.arguments import add_study, report_remark
from passband.jobs.locate import open_study

#: Time between two pages of `status --watch` [s].
_WATCH_S = 10.0


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("status")
    add_study(command)
    command.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=_WATCH_S,
        metavar="seconds",
        help=f"print the status again every {_WATCH_S:g} s, or after the given number of seconds, "
        "until the study is complete (exit status 0), or a job has failed and no job runs (1)",
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

    Returns
    -------
    int
        With `--watch`, 1 if a job has failed and no job runs; otherwise 0.

    Raises
    ------
    PassbandError
        If the time between two pages is not above 0 s.
    """
    from passband.jobs import status, status_page  # only this command needs it

    if options.watch is not None and not options.watch > 0:
        raise PassbandError(f"--watch = {options.watch:g}: must be above 0 s")
    study, results = open_study(options.study, report_remark)
    drawing = sys.stdout.isatty() and not options.json
    before = None
    try:
        while True:
            progress = status.scan(study, results)
            if options.json:
                page = status_page.as_json(progress)
            else:
                width = shutil.get_terminal_size().columns
                page = status_page.render(progress, width, drawing and "NO_COLOR" not in os.environ)
            if options.watch is None:
                print(page)
                return 0
            if drawing:
                # Move the cursor to the top, clear the screen, and clear each line after its last
                # character.
                lines = "\x1b[K\n".join(page.splitlines())
                print(f"\x1b[H\x1b[2J{lines}", flush=True)
            elif (progress.jobs, progress.snakemake) != before:
                print(page, flush=True)
            before = progress.jobs, progress.snakemake
            if progress.over:
                return 1 if progress.failures else 0
            time.sleep(options.watch)
    except KeyboardInterrupt:
        return 0
