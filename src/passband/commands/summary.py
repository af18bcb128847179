"""``passband summary``: print the OOD metrics and the predictions of a finished study."""

import argparse

from passband.commands.arguments import add_study
from passband.jobs.locate import locate_results


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "summary", help="print the OOD metrics and the predictions of a finished study"
    )
    add_study(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from passband.reports import summaries  # xarray takes a second to import
    from passband.storage import datasets

    results = locate_results(options.study)
    print(summaries.ood(datasets.read(results / "ood.zarr", datasets.OOD)))
    path = results / "prediction.zarr"
    if path.exists():
        print(f"\n{summaries.prediction(datasets.read(path, datasets.PREDICTION))}")
    return 0
