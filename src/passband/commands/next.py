"""``passband next``: choose the training conditions that teach most about a study's matrix."""

import argparse
from pathlib import Path

from passband.axes import AXES
from passband.commands.arguments import add_axes, add_study, find_study, report_remark
from passband.commands.machine import add_machine
from passband.door import Experiment
from passband.errors import PassbandError
from passband.results import Results
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
    if options.until is not None and not 0 < options.until < 1:
        raise PassbandError(f"--until = {options.until:g}: must be between 0 and 1, a Dice")
    given = {name: getattr(options, name) for name in AXES}
    if options.until is not None:
        return _train(options, given)
    found = find_study(options.study).next(
        options.budget,
        given,
        options.specimen,
        between=options.between,
        append=options.append,
        report=report_remark,
    )
    print(found.to_json() if options.json else found)
    return 0


def _train(options: argparse.Namespace, given: dict[str, str | None]) -> int:
    """Choose conditions and run the study in turns."""
    from passband.answers import next_conditions as answers

    answers.check(options.budget, options.between)
    left, candidates, used = options.budget, None, 0
    while True:
        results = Experiment.find(options.study)  # with the points that were added before
        points = results.points_file
        _check_listed(results, points, options.until)
        answers.range_of_use(results.study, given)  # mistakes are named before the study runs
        results.trust_parts()
        with signals_passed_on():
            results.run(options.cores, profile=options.profile)
        tested = results.tested(options.specimen).without_mixtures()
        if candidates is None:
            candidates = answers.candidate_conditions(tested, options.between)
        trained = {id for group in tested.of_groups for id in group.train}
        batch = min(left, max(1, len(trained) // 2))
        found = answers.next_conditions(tested, batch, given, candidates, options.until)
        print(
            f"{found.trained} training conditions: expected error {found.errors[0]:.3f}, "
            f"cross-validation {found.checked:.3f}"
        )
        if found.errors[0] <= options.until or not found.conditions:
            why = "at most" if found.errors[0] <= options.until else "above"
            print(f"stopped after {used} of {options.budget} conditions: {why} {options.until:g}")
            return 0
        answers.append(points, found.conditions)
        used, left = used + len(found.conditions), left - len(found.conditions)


def _check_listed(results: Results, points: Path, until: float) -> None:
    """Check that the study has the points of its file, so that a run trains them."""
    from passband.answers.next_conditions import read_points

    listed = f"grid: [{{…}}, {{points: {points.name}}}]"
    if not points.exists():
        raise PassbandError(
            f"--until = {until:g}: there is no {points} yet; choose the first conditions "
            f"with --append, and list the file in the study as {listed}"
        )
    study = results.study
    if not set(read_points(points, study.axes)) <= set(study.train_conditions):
        raise PassbandError(
            f"--until = {until:g}: the study does not train the points of {points}; list "
            f"the file in the study as {listed}"
        )
