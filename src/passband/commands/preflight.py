"""``passband preflight``: check whether this machine can run a study's jobs."""

import argparse

from passband.commands.arguments import add_study, find_study


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("preflight")
    add_study(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    found = find_study(options.study).preflight()
    print(found)
    found.raise_on_failure()
    return 0
