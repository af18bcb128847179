"""``passband docs``: write the reference and the schema of the configuration."""

import argparse
import sys
from pathlib import Path

from passband.door.reference import docs


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("docs")
    command.add_argument(
        "--check",
        action="store_true",
        help="only compare the files with the code, and fail if a file differs",
    )
    command.add_argument(
        "--directory",
        type=Path,
        default=Path("docs"),
        help="the folder of the two files (default: docs)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status, which is 1 if a compared file differs."""
    found = docs(options.directory, check=options.check)
    for line in found.differing:
        print(line, file=sys.stderr)
    return 1 if found.differing else 0
