"""``passband plan``: print a study's steps, memory, files and hours before the study runs."""

import argparse
import sys

from passband.commands.arguments import add_set, add_study, find_study, report_parts


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("plan")
    add_study(command)
    add_set(command)
    command.add_argument(
        "--seconds", type=float, default=12.0, help="duration [s] of the calibration (default: 12)"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    study = find_study(options.study, changes=options.changes)
    report_parts(study)
    plan = study.plan(options.seconds, progress=lambda done, total, what: _say(what))
    _say("")
    print(plan)
    return 0


def _say(what: str) -> None:
    """Show in a terminal what is being measured, in place of what was before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
