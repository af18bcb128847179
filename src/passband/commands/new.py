"""``passband new``: make a folder with a study to edit, or a part of a study."""

import argparse
from pathlib import Path

from passband.door.making import new, new_part
from passband.errors import PassbandError
from passband.parts import KINDS

#: Studies of the repository that are good to begin with, and what they are for.
_LIKE = {
    "demo": "every key with its meaning",
    "pilot": "270 networks, an hour and a half on 2 cores",
    "paper": "the paper's size, for a cluster",
    "real": "networks for real images",
}


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("new")
    command.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="NAME",
        help="the new folder and study; with --part, the folder of a study (default: this folder)",
    )
    command.add_argument(
        "--part",
        choices=KINDS,
        metavar="KIND",
        help="write an example of a part to edit, into the folder parts beside the study's file: "
        f"{', '.join(KINDS)}",
    )
    like = ", ".join(f"{name} ({what})" for name, what in _LIKE.items())
    command.add_argument(
        "--like",
        metavar="STUDY",
        help=f"the study to begin with (default: demo): {like}, another name in studies/, or a "
        "study's file",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.part:
        if options.like is not None:
            raise PassbandError("--part: cannot be used together with --like")
        print(new_part(options.part, options.folder or Path()))
        return 0
    if options.folder is None:
        options.refuse("the following arguments are required: NAME")
    like = options.like or "demo"
    made = new(options.folder, like)
    networks = made.check().networks
    print(
        f"{made.file} has the study {made.name}, like {like}: {networks:,} networks.\n"
        f"Edit it, and then type:\n"
        f"  passband check {options.folder}\n"
        f"  passband plan {options.folder}\n"
        f"  passband run {options.folder}"
    )
    return 0
