"""``passband recommend``: rank a study's networks for a microscope, and check such rankings."""

import argparse
import json
from pathlib import Path

from passband import PassbandError
from passband.commands.arguments import add_study, check_folder, report_remark
from passband.grid import AXES
from passband.jobs.locate import open_study

#: Largest number of microscopes of a check.
_MOST = 10_000


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "recommend", help="rank the networks of a finished study for your microscope"
    )
    add_study(command)
    for axis in AXES.values():
        command.add_argument(
            f"--{axis.name.replace('_', '-')}",
            dest=axis.name,
            metavar="VALUE",
            help=f"{axis.label} of your microscope [{axis.unit}], or a range such as "
            f"{'-10:25' if axis.signed else '10:25'}",
        )
    command.add_argument(
        "--specimen",
        help="your specimen; necessary if the study tests networks on several specimens",
    )
    command.add_argument(
        "--top", type=int, metavar="N", help="number of networks (default: 10; in JSON, all)"
    )
    command.add_argument("--json", action="store_true", help="print JSON (docs/recommend.md)")
    command.add_argument(
        "--figure",
        type=Path,
        metavar="FILE.png",
        help="draw the first network's expected Dice over defocus and dose around your microscope",
    )
    command.add_argument(
        "--check",
        type=int,
        metavar="N",
        help="test all networks under N random microscopes inside the study and N/3 outside, and "
        "compare the recommended networks with simpler rules",
    )
    command.add_argument(
        "--seed", type=int, default=0, help="seed of the random microscopes (default: 0)"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    PassbandError
        If an option is wrong or missing, or if the study has no results or too few conditions.
    """
    if options.check is not None:
        return _check(options)
    from passband.prediction.asked import Asked

    asked = Asked.parse({name: getattr(options, name) for name in AXES})
    if options.top is not None and options.top < 1:
        raise PassbandError(f"--top = {options.top}: must be 1 or more")
    if options.figure is not None:
        if options.figure.suffix not in (".png", ".svg", ".pdf"):
            raise PassbandError(
                f"--figure = {str(options.figure)!r}: must end in .png, .svg or .pdf"
            )
        check_folder("--figure", options.figure, options.figure.parent)
    from passband.jobs import recommendation as jobs  # xarray takes seconds to import
    from passband.reports import recommendation as reports

    if jobs.is_published(options.study):
        tested = jobs.TestedNetworks.open_published(options.study, options.specimen)
    else:
        study, results = open_study(options.study, report_remark)
        tested = jobs.TestedNetworks.open(study, results, options.specimen)
    study = tested.study
    if number := tested.left_out:
        report_remark(
            f"{number} further condition(s) are not used, because some networks have no valid "
            "results there; run the study, and then passband evaluate"
        )
    found = jobs.recommend_from(tested, asked)
    if options.json:
        print(json.dumps(found.as_dict(options.top), ensure_ascii=False))
    else:
        print(reports.recommendation(found, study.study.name, options.top or reports.TOP))
    if options.figure is not None:
        from passband.figures import recommendation as figures
        from passband.figures import style

        network = found.networks[0].id
        figure = figures.recommendation(
            asked,
            network,
            tested.tested,
            lambda conditions: tested.expected(conditions).sel(network=network).values,
            study.figures.palette,
        )
        style.save(figure, [options.figure], study.figures.dpi)
        report_remark(f"{options.figure}: expected Dice over defocus and dose")
    return 0


def _check(options: argparse.Namespace) -> int:
    """Print the check of recommendations."""
    given = [f"--{n.replace('_', '-')}" for n in AXES if getattr(options, n) is not None]
    for name in ("top", "figure"):
        given += [f"--{name}"] if getattr(options, name) is not None else []
    if given:
        raise PassbandError(f"--check = {options.check}: cannot be used together with {given[0]}")
    if not 1 <= options.check <= _MOST:
        raise PassbandError(f"--check = {options.check}: must be between 1 and {_MOST:,}")
    from passband.jobs.recommendation import is_published  # xarray takes seconds to import

    if is_published(options.study):
        raise PassbandError(
            f"{options.study}: is the folder of a published network; --check needs the study"
        )
    study, results = open_study(options.study, report_remark)

    from tqdm.auto import tqdm

    from passband.jobs import recommendation_check  # torch takes seconds to import
    from passband.reports import recommendation as reports

    found = recommendation_check.run(
        study,
        results,
        options.check,
        options.seed,
        options.specimen,
        lambda jobs: tqdm(jobs, "training jobs", disable=None),
        report_remark,
    )
    print(json.dumps(found.as_dict()) if options.json else reports.check(found))
    return 0
