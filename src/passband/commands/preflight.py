"""``passband preflight``: check whether this machine can run a study's jobs."""

import argparse

from passband.commands.arguments import add_study, find_study


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("preflight")
    add_study(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from passband.runs import preflight  # only this command needs it

    checks = preflight.run(find_study(options.study))
    print(preflight.table(checks))
    preflight.raise_on_failure(checks)
    return 0
