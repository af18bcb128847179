"""``passband gallery``: draw example structures of each specimen of a study."""

import argparse

from passband.commands.on_request import add_request, make
from passband.results import Results, layout


def add(commands: argparse._SubParsersAction) -> None:
    command = add_request(
        commands,
        "gallery",
        "Draw structures of each specimen with their atoms, waves and images, and print the "
        "pictures' paths. They are made with Snakemake.",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    results = Results.find(options.study)
    pictures = [
        layout.GALLERY.format(specimen=specimen, format=form)
        for specimen in results.study.specimens
        for form in results.study.figures.formats
    ]
    return make(options, results, pictures, "gallery")
