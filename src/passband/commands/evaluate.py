"""``passband evaluate``: test a study's finished networks under further conditions."""

import argparse
import sys

from passband.commands.arguments import add_study, find_study
from passband.commands.conditions import add_conditions, check_conditions, given_conditions
from passband.errors import PassbandError
from passband.results import earlier


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "evaluate",
        description="Test a study's finished networks under further conditions. The results are "
        "kept in results/<study>/store/. Results that are there already are not computed again.",
    )
    add_study(command)
    add_conditions(command)
    command.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="number of processes (default: as many as cores, memory and the work allow)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    given = given_conditions(options)
    if not given:
        raise PassbandError(
            "no condition is given; give --defocus-nm, --cs-um, --aperture-mrad and "
            "--dose-e-per-A2, or --conditions FILE.csv"
        )
    if options.processes is not None and not 1 <= options.processes <= 1024:
        raise PassbandError(f"--processes = {options.processes}: must be between 1 and 1024")
    results = find_study(options.study)
    earlier.refuse(results.folder, options.study)
    conditions = check_conditions(results.study, given)

    from tqdm.auto import tqdm  # only this command needs these modules

    from passband.answers import further_tests
    from passband.results import layout

    def progress(items):
        return tqdm(items, desc="evaluate", disable=not sys.stderr.isatty())

    networks = further_tests.evaluate_extra(
        results,
        conditions,
        processes=options.processes,
        progress=progress,
        log=lambda line: tqdm.write(line, file=sys.stderr),
    )
    under = f"{len(set(conditions)):,} further condition(s)"
    where = results.path(layout.STORE)
    print(f"{networks:,} network(s) are tested under {under}; results in {where}")
    return 0
