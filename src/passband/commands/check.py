"""``passband check``: check a study file and print the number of the study's jobs."""

import argparse

from passband.commands.arguments import add_study, report_remark
from passband.jobs import plan
from passband.results.locate import open_study


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("check")
    add_study(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    study, _ = open_study(options.study, report_remark, crystals=True)
    print(plan.summary(study, listed=True))
    return 0
