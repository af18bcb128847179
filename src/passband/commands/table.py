"""``passband table``: print the OOD metrics and the predictions of a finished study."""

import argparse
import importlib.util
from pathlib import Path

from passband.commands.arguments import add_study, check_file
from passband.commands.text import draw
from passband.errors import PassbandError
from passband.results import Results, layout


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


def show(results: Results) -> None:
    """Print the tables of a finished study, see :func:`draw`."""
    from passband.prediction.matrix.predicted_matrix import predicted_matrices
    from passband.reports import summaries  # xarray takes a second to import
    from passband.reports.study_summary import ood

    text = ood(results)
    if results.has(layout.PREDICTION):
        text += f"\n\n{summaries.prediction(predicted_matrices(results.prediction))}"
    draw(text)
