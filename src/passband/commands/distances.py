"""``passband distances``: compute the distances between a study's trained networks."""

import argparse

from passband.commands.machine import add_request, made
from passband.door import Experiment


def add(commands: argparse._SubParsersAction) -> None:
    command = add_request(
        commands,
        "distances",
        "Compute distances between trained networks, and between the images of their conditions, "
        "and print the path of the store. They are made with Snakemake.",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    return made(options, Experiment.find(options.study).compute_distances)
