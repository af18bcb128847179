"""``passband distances``: compute the distances between a study's trained networks."""

import argparse

from passband.commands.arguments import add_study
from passband.commands.run import add_machine, start
from passband.jobs import layout
from passband.jobs.locate import locate_file, locate_study


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "distances",
        description="Compute distances between trained networks, and between the images of their "
        "conditions, and print the path of the store. They are made with Snakemake.",
    )
    add_study(command)
    add_machine(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    file, folder = locate_file(options.study)
    _, results = locate_study(options.study)
    status = start(options, file, folder, (f"results/{results.name}/{layout.DISTANCES}",))
    if not status:
        print(results / layout.DISTANCES)
    return status
