"""``passband export``: write the atoms of a structure to a file."""

import argparse
from pathlib import Path

from passband.commands.arguments import STUDY, find_study
from passband.config import SPLITS
from passband.results import locate
from passband.words import listed


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("export")
    command.add_argument("study", type=locate.path_of, help=f"{STUDY}, such as pilot")
    command.add_argument("specimen", help="the specimen's name in the study")
    command.add_argument("split", help=listed(SPLITS, "or"))
    command.add_argument("index", type=int, help="the structure's index in the split, from 0")
    command.add_argument("file", type=Path, help="the file to write, such as gold.extxyz")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    study = find_study(options.study)
    print(study.export(options.specimen, options.split, index=options.index, file=options.file))
    return 0
