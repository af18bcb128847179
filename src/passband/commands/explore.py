"""``passband explore``: write the explorer, a page that shows every cell of a study's matrices."""

import argparse

from passband.commands.arguments import add_study, add_trust, find_study, report_many
from passband.commands.progress_bar import bar


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "explore",
        description="Write again the page that shows every cell of a finished study's "
        "matrices. docs/explore.md describes the page.",
    )
    add_study(command)
    add_trust(command)
    command.add_argument(
        "--no-images", action="store_true", help="leave out the example images, to save time"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    study = find_study(options.study)
    report_many(study)
    with bar() as progress:
        print(study.explore(images=not options.no_images, progress=progress).file)
    return 0
