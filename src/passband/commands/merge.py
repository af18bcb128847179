"""``passband merge``: join pieces of a study that were computed on several machines."""

import argparse
from pathlib import Path

from passband.commands.arguments import add_trust, report_remark
from passband.commands.progress_bar import bar
from passband.door.merging import merge
from passband.results import locate


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "merge",
        description="Join pieces of a study to one table, completely or not at all, and compute "
        "its information metrics and OOD metrics, see docs/merge.md.",
    )
    command.add_argument(
        "pieces",
        nargs="+",
        type=locate.path_of,
        metavar="PIECE",
        help="a piece: a study, its folder of results, its table.zarr, or a file of passband pack",
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
    command.add_argument(
        "--ood",
        type=Path,
        metavar="FILE.zarr.zip",
        help="also write the OOD metrics to one small file, without intervals of single cells",
    )
    add_trust(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    with bar() as progress:
        found = merge(
            options.pieces,
            options.into,
            common=options.common,
            ood=options.ood,
            progress=progress,
        )
    if found.left_out:
        report_remark(f"left out, see docs/merge.md: {', '.join(found.left_out)}")
    if found.lacking:
        report_remark(
            f"left out, since their code is not trusted or not here, see docs/merge.md: "
            f"{', '.join(found.lacking)}"
        )
    print(found)
    return 0
