"""``passband parts``: list the parts that a study knows, and where they come from."""

import argparse

from passband.commands.arguments import DEFAULT_STUDY, add_study, find_study
from passband.door.known_parts import PartList
from passband.parts import KINDS, PACKAGE


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("parts")
    add_study(command)
    command.add_argument(
        "--kind",
        action="append",
        default=[],
        choices=KINDS,
        help="list only parts of this kind; may be given several times",
    )
    command.add_argument("--json", action="store_true", help="print a line of JSON")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.study == DEFAULT_STUDY and not DEFAULT_STUDY.exists():
        found = PartList.of(PACKAGE, options.kind)
    else:
        found = find_study(options.study).parts(*options.kind)
    print(found.to_json() if options.json else found)
    return 0
