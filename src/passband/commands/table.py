"""``passband table``: print the OOD metrics and the predictions of a finished study."""

import argparse
import importlib.util
import sys
from itertools import groupby
from pathlib import Path

from passband.commands.arguments import add_study, check_file
from passband.errors import PassbandError
from passband.results import Results, layout

#: Columns of a terminal to which the names in a table are folded at most.
_NARROWEST = 12


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "table",
        description="Print means of a finished study's OOD metrics and the scores of its "
        "predictions, or write the OOD metrics as CSV or Parquet. docs/metrics.md describes the "
        "columns.",
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
    files = {"--csv": options.csv, "--parquet": options.parquet}
    given = {option: file for option, file in files.items() if file is not None}
    if not given:
        if options.cells:
            raise PassbandError("--cells: must be given together with --csv or --parquet")
        show(Results.find(options.study).existing())
        return 0
    for option, file in given.items():
        check_file(option, file, f".{option[2:]}")
    if options.parquet is not None and importlib.util.find_spec("pyarrow") is None:
        raise PassbandError("--parquet needs pyarrow: pip install 'passband[parquet]'")
    results = Results.find(options.study).existing()

    from passband.matrices.of_study import matrices  # xarray takes a second to import
    from passband.reports import csv_tables
    from passband.storage import atomic

    table = csv_tables.by_cell if options.cells else csv_tables.by_training_condition
    rows = table(matrices(metrics=results.ood))
    for option, file in given.items():
        with atomic.replacing(file) as beside:
            if option == "--csv":
                rows.to_csv(beside, index=False, float_format="%.6g")
            else:
                rows.to_parquet(beside, index=False, engine="pyarrow")
        print(f"{len(rows):,} rows and {len(rows.columns)} columns are in {file}")
    return 0


def ood(results: Results) -> str:
    """Return the table of the OOD metrics of a finished study, with what did not learn marked."""
    from passband.matrices.of_study import StudyMatrices
    from passband.reports import summaries

    metrics = results.ood
    source = StudyMatrices(metrics=metrics)
    if results.is_known and results.has(layout.TABLE):
        source = StudyMatrices(results.table, metrics, results.study)
    return summaries.ood(source.of_metrics)


def show(results: Results) -> None:
    """Print the tables of a finished study, see :func:`draw`."""
    from passband.prediction.matrix.predicted_matrix import predicted_matrices
    from passband.reports import summaries  # xarray takes a second to import

    text = ood(results)
    if results.has(layout.PREDICTION):
        text += f"\n\n{summaries.prediction(predicted_matrices(results.prediction))}"
    draw(text)


def draw(text: str) -> None:
    """Print a text, whose Markdown tables are drawn in a terminal.

    rich's own `Markdown` would cut the names of networks in a narrow terminal.
    """
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    for is_table, lines in groupby(text.splitlines(), lambda line: line.startswith("|")):
        if is_table:
            head, _, *rows = (line[2:-2].split(" | ") for line in lines)
            widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
            # A wide table has a space between columns instead of three. If it is too wide even so,
            # names are folded, or else all cells; then blank lines tell its rows apart.
            tight = sum(widths) + 3 * len(widths) > console.width
            left = console.width - sum(widths[1:]) - len(widths[1:])
            table = Table(
                box=SIMPLE_HEAD,
                padding=(0, 0 if tight else 1),
                show_edge=not tight,
                show_lines=left < widths[0],
            )
            for place, name in enumerate(head):
                whole = place > 0 and left >= _NARROWEST
                table.add_column(name, overflow="fold", no_wrap=whole)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        else:
            console.print(*lines, sep="\n")
