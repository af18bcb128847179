"""``passband plan``: print a study's steps, memory, files and hours before the study runs."""

import argparse
import sys
from pathlib import Path

from passband.commands.arguments import add_set, add_study, find_study
from passband.errors import PassbandError
from passband.results import Results
from passband.runs import file_sizes, plan, rates
from passband.runs.calibration import calibrate


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("plan")
    add_study(command)
    add_set(command)
    command.add_argument(
        "--seconds", type=float, default=12.0, help="duration [s] of the calibration (default: 12)"
    )
    command.add_argument(
        "--save-rates",
        type=Path,
        metavar="FILE",
        help="also write the rates of this machine, such as a node with a GPU, to a file",
    )
    command.add_argument(
        "--rates",
        type=Path,
        metavar="FILE",
        help="the time on the machine whose rates are in this file, instead of on this one",
    )
    command.add_argument(
        "--together",
        type=int,
        metavar="N",
        help="with --rates: the number of jobs that run at a time (default: 1)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if not 0 <= options.seconds <= 3600:
        raise PassbandError(f"--seconds = {options.seconds:g}: must be between 0 and 3600")
    if options.rates is not None and options.save_rates is not None:
        raise PassbandError("--save-rates: must not be given together with --rates")
    if options.together is not None and options.rates is None:
        raise PassbandError(f"--together = {options.together}: must be given together with --rates")
    if options.together is not None and options.together < 1:
        raise PassbandError(f"--together = {options.together}: must be at least 1")
    results = find_study(options.study, changes=options.changes)
    results.try_parts()
    if options.rates is not None:
        print(_elsewhere(results, options.rates, options.together or 1))
        return 0
    found = calibrate(results.study, options.seconds, _say)
    _say("")
    printed = plan.render(
        results, found.speeds, found.sizes, memory=found.memory, by_torch=found.by_torch
    )
    print(printed)
    if options.save_rates is not None:
        rates.write(options.save_rates, rates.Rates.of(results.study, found.speeds))
    return 0


def _elsewhere(results: Results, file: Path, together: int) -> str:
    """Return the plan for the machine whose rates are in a file."""
    speeds = rates.read(file).speeds(results.study)
    _say("sizes of files")
    sizes = file_sizes.measured(results.study)
    _say("")
    return plan.render(results, speeds, sizes, together=together)


def _say(part: str) -> None:
    """Show in a terminal which part is being measured, in place of the part before."""
    if sys.stderr.isatty():
        words = f"measuring {part}" if part else ""
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
