"""``passband docs``: write the reference and the schema of the configuration."""

import argparse
import sys
from pathlib import Path

from passband.errors import PassbandError


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
    from passband.config import reference  # only this command needs it

    if not (folder := options.directory).is_dir():
        raise PassbandError(
            f"--directory = {str(folder)!r}: there is no folder {folder}; this command makes two "
            "pages of a clone of Passband"
        )
    status = 0
    for name, text in (
        ("configuration.md", reference.markdown()),
        ("config.schema.json", reference.schema()),
    ):
        path = folder / name
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path}: differs from the models; run `passband docs`", file=sys.stderr)
            status = 1
    return status
