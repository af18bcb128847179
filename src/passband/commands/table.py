"""``passband table``: print the OOD metrics and the predictions of a finished study."""

import argparse
from pathlib import Path

from passband.commands.arguments import add_study, check_file
from passband.commands.outcome_text import draw
from passband.door import Experiment
from passband.errors import PassbandError


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "table",
        description="Print means over rows of a finished study's OOD metrics, and the scores of "
        "its predictions, or write the OOD metrics as CSV or Parquet. docs/metrics.md describes "
        "the columns.",
    )
    add_study(command)
    command.add_argument(
        "--csv",
        type=Path,
        metavar="FILE.csv",
        help="write the OOD metrics of each training condition to a file instead of printing means",
    )
    command.add_argument(
        "--parquet",
        type=Path,
        metavar="FILE.parquet",
        help="the same as a Parquet file, with all digits; needs pip install 'passband[parquet]'",
    )
    command.add_argument(
        "--cells",
        action="store_true",
        help="with --csv or --parquet: a row for each pair of a training condition and a test "
        "condition",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.csv is not None:
        check_file("--csv", options.csv, ".csv")
    if options.parquet is not None:
        check_file("--parquet", options.parquet, ".parquet")
    files = [file for file in (options.csv, options.parquet) if file is not None]
    if options.cells and not files:
        raise PassbandError("--cells: must be given together with --csv or --parquet")
    summary = Experiment.find(options.study).summary()
    if not files:
        draw(str(summary))
    for file in files:
        rows = summary.write(file, options.cells)
        print(f"{len(rows):,} rows and {len(rows.columns)} columns are in {file}")
    return 0
