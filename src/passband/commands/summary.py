"""``passband summary``: the name that ``passband table`` had before."""

import argparse

from passband.commands.arguments import add_study
from passband.commands.text import draw
from passband.door import Experiment


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("summary")
    add_study(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    draw(str(Experiment.find(options.study).summary()))
    return 0
