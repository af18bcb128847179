"""``passband pack``: write the results of a piece of a study to small files."""

import argparse
from pathlib import Path

from passband.commands.arguments import STUDY
from passband.door.merging import pack
from passband.results import locate


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "pack",
        description="Write the Dice of each test image in eight bits, and sums of pixels for each "
        "cell, to small files that passband merge reads, see docs/merge.md.",
    )
    command.add_argument("study", type=locate.path_of, help=f"{STUDY}; or a table.zarr")
    command.add_argument(
        "--into", type=Path, required=True, metavar="FOLDER", help="the folder for the files"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    print(pack(options.study, options.into))
    return 0
