"""``passband images``: make images of a study's structures under a condition."""

import argparse

from passband.commands.arguments import add_study
from passband.commands.conditions import add_conditions, given_conditions
from passband.commands.machine import add_machine, made
from passband.config import SPLITS
from passband.door import Experiment
from passband.words import listed


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "images",
        description="Make images of a study's structures under conditions of its training grid or "
        "test grid, with masks, and print where they are. They are made with Snakemake.",
    )
    add_study(command)
    add_conditions(command)
    command.add_argument("--specimen", help="the specimen (default: the study's first)")
    command.add_argument("--split", default="test", help=f"{listed(SPLITS, 'or')} (default: test)")
    add_machine(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    study = Experiment.find(options.study)  # whose remarks Snakemake prints
    conditions = given_conditions(options)
    return made(
        options, study.write_images, conditions, specimen=options.specimen, split=options.split
    )
