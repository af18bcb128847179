"""``passband tune``: adapt a network to labelled images."""

import argparse
from pathlib import Path

from passband.commands.arguments import STUDY, add_trust, report_remark
from passband.commands.ctf import add_pixel_size
from passband.console import escaped
from passband.door import open as open_noun


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "tune",
        description="Go on training a network with images that you have labelled. With four images "
        "or more, each is left out once, and the network is written only if it is better for "
        "images that it has not seen. docs/tune.md says more.",
    )
    command.add_argument(
        "noun",
        metavar="network",
        help=f"general, a published folder, a weights file, or {STUDY}; a study needs --network",
    )
    command.add_argument("images", type=Path, help="a folder with images of one pixel size")
    command.add_argument(
        "labels",
        type=Path,
        help="a folder with files of the same names: 0 in the background, and 1 or the number of "
        "the particle in particles",
    )
    command.add_argument(
        "--out", type=Path, required=True, help="the folder to write, which must not exist"
    )
    command.add_argument("--network", metavar="ID", help="the network's id, with its replica")
    add_pixel_size(command)
    command.add_argument(
        "--seed", type=int, default=0, help="of the random places of crops (default: 0)"
    )
    add_trust(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status, which is 1 if no network was written."""
    from passband.commands.progress_bar import bar

    with bar() as progress:
        found = open_noun(options.noun).tune(
            options.images,
            options.labels,
            options.out,
            network=options.network,
            pixel_size_A=options.pixel_size_A,
            seed=options.seed,
            report=report_remark,
            progress=progress,
        )
    print(*map(escaped, str(found).splitlines()), sep="\n")
    return 0 if found.folder else 1
