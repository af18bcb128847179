"""``passband publish``: write a folder with a network, its description and its card."""

import argparse
from pathlib import Path

from passband.commands.arguments import STUDY, add_trust, report_remark
from passband.door import open as open_noun
from passband.door.publishing import LICENSE


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("publish")
    command.add_argument(
        "network",
        type=Path,
        help=f"a weights file (.safetensors), or {STUDY}; a study needs --network too",
    )
    command.add_argument(
        "--network",
        dest="id",
        metavar="ID",
        help="the network's id, such as "
        "gold/compact-w8-d3/df+0005.00_cs+0001.200_ap010.00_ds000100.00/0",
    )
    command.add_argument(
        "--replica", type=int, help="the replica, if the weights file has several replicas"
    )
    command.add_argument(
        "--study",
        type=Path,
        help="the study that tested the network (default: that of the weights file)",
    )
    command.add_argument(
        "--out", type=Path, help="the folder to write (default: published/ and the network's id)"
    )
    command.add_argument("--name", help="the network's name (default: made from its condition)")
    command.add_argument(
        "--license", default=LICENSE, help=f"SPDX id of the license (default: {LICENSE})"
    )
    command.add_argument(
        "--author", action="append", default=[], help="an author's name; may be given repeatedly"
    )
    command.add_argument(
        "--force", action="store_true", help="replace an existing published folder"
    )
    add_trust(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from passband import extras

    extras.check(extras.SHARE, "publish")  # before torch is imported, which takes seconds
    found = open_noun(options.network).publish(
        options.id,
        options.out,
        replica=options.replica,
        study=options.study,
        name=options.name,
        license=options.license,
        authors=options.author,
        force=options.force,
        report=report_remark,
    )
    print(found)
    return 0
