"""``passband explore``: write the explorer, a page that shows every cell of a study's matrices."""

import argparse
from collections.abc import Iterable

from passband.answers import explorer_page
from passband.commands.arguments import add_study, add_trust, find_study, report_many
from passband.results import layout


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
    results = find_study(options.study)
    results.check_names()
    for needed in (layout.OOD, layout.TABLE):
        results.check_has(needed)
    report_many(results)
    explorer_page.write(results, not options.no_images, _progress)
    print(results.path(layout.EXPLORER))
    return 0


def _progress(tests: Iterable) -> Iterable:
    from tqdm.auto import tqdm

    return tqdm(tests, "example images", disable=None)
