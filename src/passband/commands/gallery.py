"""``passband gallery``: draw example structures of each specimen of a study."""

import argparse

from passband.commands.machine import add_request, made
from passband.door import Experiment


def add(commands: argparse._SubParsersAction) -> None:
    command = add_request(
        commands,
        "gallery",
        "Draw structures of each specimen with their atoms, waves and images, and print the "
        "pictures' paths. They are made with Snakemake.",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    return made(options, Experiment.find(options.study).gallery)
