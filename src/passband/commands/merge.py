"""``passband merge``: join pieces of a study that were computed on several machines."""

import argparse
from pathlib import Path

from passband.commands.arguments import add_trust
from passband.door.merging import merge
from passband.results import locate


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "merge",
        description="Link the exit waves, networks and records of pieces of a study into one "
        "study, completely or not at all; passband run then makes its table, see docs/merge.md.",
    )
    command.add_argument(
        "pieces",
        nargs="+",
        type=locate.path_of,
        metavar="PIECE",
        help="a piece: a study, or its folder of results",
    )
    command.add_argument(
        "--into",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the new folder of results, such as results/whole; its name is the study's name",
    )
    command.add_argument(
        "--common",
        action="store_true",
        help="leave out test conditions that some pieces lack; without this option, they are an "
        "error",
    )
    add_trust(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    print(merge(options.pieces, options.into, common=options.common))
    return 0
