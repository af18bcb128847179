"""``passband report``: make the page that presents a finished or an incomplete study."""

import argparse
from pathlib import Path

from passband.commands.arguments import add_study, find_study, report_remark


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "report",
        description="Make the page that presents a finished or an incomplete study. docs/report.md "
        "describes the page.",
    )
    add_study(command)
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE.html",
        help="the page's file (default: report.html in the study's folder of results)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    page = find_study(options.study).report(options.output)
    if page.missing:
        report_remark(f"the study is incomplete: {'; '.join(page.missing)}")
    print(page)
    return 0
