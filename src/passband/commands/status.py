"""``passband status``: draw which jobs are done, run, failed or wait; or follow a run."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence

from passband import PassbandError
from passband.commands.arguments import add_study, find_study
from passband.results import Results, layout

#: Number of failed jobs that are shown at a time.
_FAILURES = 3
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
    from passband.runs import status, status_page  # only this command needs it

    if options.watch is not None and not options.watch > 0:
        raise PassbandError(f"--watch = {options.watch:g}: must be above 0 s")
    results = find_study(options.study)
    try:
        if options.watch is None:
            found = status.scan(results)
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            width = shutil.get_terminal_size().columns
            print(
                status_page.as_json(found)
                if options.json
                else status_page.render(found, width, colour)
            )
            return 0
        if options.json:
            return _print_changes(results, options.watch)
        return _follow(results, options.watch)
    except KeyboardInterrupt:
        return 0


def _print_changes(results: Results, seconds: float) -> int:
    """Print a line of JSON whenever a job's state changes, and return the exit status."""
    from passband.runs import status, status_page

    before = None
    while True:
        found = status.scan(results)
        if (found.jobs, found.snakemake) != before:
            print(status_page.as_json(found), flush=True)
        before = found.jobs, found.snakemake
        if found.over:
            return 1 if found.failures else 0
        time.sleep(seconds)


def _follow(results: Results, seconds: float) -> int:
    """Show a run until it is over, and return the exit status."""
    from passband.runs import status, status_page
    from passband.runs.progress_display import display
    from passband.runs.run_files import Followed, in_words

    study = results.study
    followed = Followed(study)
    progress = followed.progress
    shown = None
    try:
        while True:
            found = status.scan(results)
            failed = followed.update(found)
            if shown is None:
                shown = display(sys.stdout, progress, study.study.name)
                shown.start(
                    f"{study.study.name}: {progress.total:,} jobs, {progress.done:,} are done; "
                    f"the results are in {results}"
                )
            for job in reversed(failed[:_FAILURES]):
                name = f"{in_words(job, results)} ({status_page.clock(job.time, found.now)})"
                shown.failure(name, job.log, None, job.silent)
            if len(failed) > _FAILURES:
                shown.say(f"and {len(failed) - _FAILURES:,} more failed before", "bold red")
            shown.note = "" if found.running or found.complete else status_page.at_work(found)
            shown.update()
            if found.over:
                break
            time.sleep(seconds)
    except BaseException:
        if shown is not None:
            shown.stop("no longer watched")
        raise
    shown.stop()
    if found.complete:
        print(f"The study is complete; open {results.path(layout.REPORT)} in a browser.")
    return 1 if found.failures else 0
