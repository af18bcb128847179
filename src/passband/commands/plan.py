"""``passband plan``: print a study's steps, memory, files and hours before the study runs."""

import argparse
import sys
from pathlib import Path

from passband.commands.arguments import add_set, add_study, find_study


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
    study = find_study(options.study, changes=options.changes)
    plan = study.plan(
        options.seconds,
        rates=options.rates,
        together=options.together,
        save_rates=options.save_rates,
        progress=lambda done, total, what: _say(what),
    )
    _say("")
    print(plan)
    return 0


def _say(what: str) -> None:
    """Show in a terminal what is being measured, in place of what was before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
