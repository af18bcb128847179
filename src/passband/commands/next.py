"""``passband next``: choose the training conditions that teach most about a study's matrix."""

import argparse
import json
from pathlib import Path

from passband import PassbandError
from passband.commands.arguments import add_axes, add_study, report_remark
from passband.grid import MAIN_AXES
from passband.jobs.locate import locate_file, open_study

#: Largest number of conditions to choose.
_MOST = 1000


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "next",
        description="Choose the training conditions whose networks would teach most about the "
        "Dice of all networks, see docs/next.md. With an option such as --defocus-nm 5:40, only "
        "test conditions in this range count.",
    )
    add_study(command)
    command.add_argument(
        "--budget", type=int, required=True, metavar="N", help="number of conditions to choose"
    )
    add_axes(command)
    command.add_argument(
        "--between",
        type=int,
        metavar="K",
        help="also choose from conditions with K values between neighbouring values of each axis "
        "(default: 0 while conditions of the study have no networks, then 1)",
    )
    command.add_argument(
        "--until",
        type=float,
        metavar="ERROR",
        help="choose no more conditions once the expected error of Dice is at most ERROR",
    )
    command.add_argument(
        "--append",
        action="store_true",
        help="add the conditions to the CSV file with the study's points, beside the study's file",
    )
    command.add_argument(
        "--specimen", help="the test specimen; necessary if the study tests on several specimens"
    )
    command.add_argument("--json", action="store_true", help="print JSON (docs/next.md)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    PassbandError
        If an option is wrong, if the study has no results or too few conditions, or if no
        condition is left to train.
    """
    if not 1 <= options.budget <= _MOST:
        raise PassbandError(f"--budget = {options.budget}: must be between 1 and {_MOST:,}")
    if options.until is not None and not 0 < options.until < 1:
        raise PassbandError(f"--until = {options.until:g}: must be between 0 and 1, a Dice")
    given = {name: getattr(options, name) for name in MAIN_AXES}
    from passband.jobs import next_conditions as jobs  # xarray takes seconds to import
    from passband.jobs.recommendation import TestedNetworks
    from passband.reports import next_conditions as reports

    if options.between is not None and not 0 <= options.between <= jobs.MOST_BETWEEN:
        raise PassbandError(
            f"--between = {options.between}: must be between 0 and {jobs.MOST_BETWEEN}"
        )
    file = _points_file(options) if options.append else None
    study, results = open_study(options.study, report_remark)
    tested = TestedNetworks.open(study, results, options.specimen)
    found = jobs.next_conditions(
        tested, options.budget, given, options.between, options.until or 0.0
    )
    if file is not None:
        number = jobs.append(file, found.conditions)
    print(json.dumps(found.as_dict()) if options.json else reports.next_conditions(found))
    if file is not None:
        report_remark(
            f"{file}: has {number} point{'s' * (number > 1)}; the study lists the file with "
            f"grid: [{{…}}, {{points: {file.name}}}]"
        )
    return 0


def _points_file(options: argparse.Namespace) -> Path:
    """Return the CSV file with the points of the study, beside the study's file."""
    from passband.config import load
    from passband.jobs.next_conditions import points_file

    file, folder = locate_file(options.study)
    path = file if file.is_absolute() or file.exists() else folder / file
    return points_file(load(path).study.name, path)
