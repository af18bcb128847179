"""``passband report``: make the page that presents a finished or an incomplete study."""

import argparse
from pathlib import Path

from passband.commands.arguments import add_study, check_file, find_study, report_remark
from passband.results import layout, listing


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
    from passband.runs import report_page  # only this command needs it

    results = find_study(options.study).existing()
    listing.check(results.folder)
    target = options.output or results.path(layout.REPORT)
    if options.output:
        check_file("--output", target)
    missing = report_page.write(results, target)
    if missing:
        report_remark(f"the study is incomplete: {'; '.join(missing)}")
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return 0
