"""``passband next``: choose the training conditions that teach most about a study's matrix."""

import argparse

from passband.commands.arguments import add_axes, add_study, axes_given, find_study, report_remark
from passband.commands.machine import add_machine
from passband.door import Experiment
from passband.runs.child import signals_passed_on


def add(commands: argparse._SubParsersAction) -> None:
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
        help="append conditions and run the study, again and again, until the expected error of "
        "Dice is at most ERROR or the budget is used",
    )
    command.add_argument(
        "--append",
        action="store_true",
        help="add the conditions to the CSV file with the study's points, beside the study's file",
    )
    command.add_argument(
        "--specimen", help="the test specimen; necessary if the study tests on several specimens"
    )
    add_machine(command)
    command.add_argument("--json", action="store_true", help="print JSON (docs/next.md)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    given = axes_given(options)
    if options.until is not None:
        study = Experiment.find(options.study)  # whose remarks Snakemake prints
        with signals_passed_on():
            found = study.train_next(
                options.budget,
                options.until,
                use=given,
                specimen=options.specimen,
                between=options.between,
                cores=options.cores,
                profile=options.profile,
                report=print,
            )
        print(found)
        return 0
    found = find_study(options.study).next(
        options.budget,
        use=given,
        specimen=options.specimen,
        between=options.between,
        append=options.append,
        report=report_remark,
    )
    print(found.to_json() if options.json else found)
    return 0
