"""``passband evaluate``: test a study's finished networks under further conditions."""

import argparse
import sys

from passband.commands.arguments import add_study, add_trust, find_study
from passband.commands.conditions import add_conditions, given_conditions
from passband.commands.progress_bar import bar


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "evaluate",
        description="Test a study's finished networks under further conditions. The results are "
        "kept in results/<study>/store/. Results that are there already are not computed again.",
    )
    add_study(command)
    add_trust(command)
    add_conditions(command)
    command.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="number of processes (default: as many as cores, memory and the work allow)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    conditions = given_conditions(options)
    study = find_study(options.study)
    from tqdm import tqdm

    with bar() as progress:
        found = study.evaluate(
            conditions,
            options.processes,
            report=lambda line: tqdm.write(line, file=sys.stderr),
            progress=progress,
        )
    print(found)
    return 0
