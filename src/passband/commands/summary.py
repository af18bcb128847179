"""``passband summary``: the name that ``passband table`` had before."""

import argparse

from passband.commands import table
from passband.commands.arguments import add_study
from passband.results import Results


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("summary")
    add_study(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    table.show(Results.find(options.study).existing())
    return 0
