"""``passband check``: check a study file and print the number of the study's jobs."""

import argparse

from passband.commands.arguments import add_set, add_study, find_study, report_parts


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("check")
    add_study(command)
    add_set(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    study = find_study(options.study, changes=options.changes)
    report_parts(study)
    print(study.check())
    return 0
