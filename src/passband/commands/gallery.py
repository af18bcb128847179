"""``passband gallery``: draw example structures of each specimen of a study."""

import argparse

from passband.commands.arguments import add_study
from passband.commands.run import add_machine, start
from passband.jobs import layout
from passband.jobs.locate import locate_file, locate_study


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "gallery",
        description="Draw structures of each specimen with their atoms, waves and images, and "
        "print the pictures' paths. They are made with Snakemake.",
    )
    add_study(command)
    add_machine(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    file, folder = locate_file(options.study)
    study, results = locate_study(options.study)
    status = start(options, file, folder, ("gallery",))
    if not status:
        for specimen in study.specimens:
            for form in study.figures.formats:
                print(results / layout.GALLERY.format(specimen=specimen, format=form))
    return status
