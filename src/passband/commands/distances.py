"""``passband distances``: compute the distances between a study's trained networks."""

import argparse

from passband.commands.on_request import add_request, make
from passband.results import Results, layout


def add(commands: argparse._SubParsersAction) -> None:
    command = add_request(
        commands,
        "distances",
        "Compute distances between trained networks, and between the images of their conditions, "
        "and print the path of the store. They are made with Snakemake.",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    return make(options, Results.find(options.study), [layout.DISTANCES])
