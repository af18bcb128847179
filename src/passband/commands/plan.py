"""``passband plan``: print a study's steps, memory, files and hours before the study runs."""

import argparse
import sys

from passband import PassbandError
from passband.commands.arguments import add_set, add_study, find_study
from passband.runs import plan, rates
from passband.runs.calibration import calibrate


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("plan")
    add_study(command)
    add_set(command)
    command.add_argument(
        "--seconds", type=float, default=12.0, help="duration [s] of the calibration (default: 12)"
    )
    command.add_argument(
        "--device",
        metavar="GPU",
        default="",
        help="the time on another GPU, as a range from stated rates: v100, a100, h100 or h200; "
        "docs/run.md says what is assumed",
    )
    command.add_argument(
        "--gpus", type=int, metavar="N", help="with --device: the number of GPUs (default: 1)"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if not 0 <= options.seconds <= 3600:
        raise PassbandError(f"--seconds = {options.seconds:g}: must be between 0 and 3600")
    if options.gpus is not None and not options.device:
        raise PassbandError(f"--gpus = {options.gpus}: must be given together with --device")
    if options.gpus is not None and options.gpus < 1:
        raise PassbandError(f"--gpus = {options.gpus}: must be at least 1")
    if options.device:
        rates.check(options.device)
    results = find_study(options.study, crystals=True, changes=options.changes)
    speeds = calibrate(results.study, options.seconds, _say, networks=not options.device)
    _say("")
    print(plan.render(results, speeds, options.device, options.gpus or 1))
    return 0


def _say(part: str) -> None:
    """Show in a terminal which part is being measured, in place of the part before."""
    if sys.stderr.isatty():
        words = f"measuring {part}" if part else ""
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
