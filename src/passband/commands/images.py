"""``passband images``: make images of a study's structures under a condition."""

import argparse

from passband.commands.arguments import add_study
from passband.commands.conditions import add_conditions, check_conditions, given_conditions
from passband.commands.on_request import make
from passband.commands.run import add_machine
from passband.config import SPLITS, Study, study_checks
from passband.errors import PassbandError
from passband.grid import Condition
from passband.results import Results, layout
from passband.words import listed

#: Largest number of values that an error message lists.
_MOST_LISTED = 20


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "images",
        description="Make images of a study's structures under conditions of its training grid or "
        "test grid, with masks, and print where they are. They are made with Snakemake.",
    )
    add_study(command)
    add_conditions(command)
    command.add_argument("--specimen", help="the specimen (default: the study's first)")
    command.add_argument("--split", default="test", help=f"{listed(SPLITS, 'or')} (default: test)")
    add_machine(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    results = Results.find(options.study)
    study = results.study
    specimen = study_checks.check_split(study, options.specimen, options.split, "--")
    given = given_conditions(options)
    if not given:
        raise PassbandError("no condition: give a value of each axis, or --conditions FILE.csv")
    conditions = check_conditions(study, given, options.split)
    _check_known(study, conditions, [one.where for one in given])
    paths = [
        layout.IMAGES.format(specimen=specimen, split=options.split, condition=c.id, whose="")
        for c in dict.fromkeys(conditions)
    ]
    return make(options, results, paths)


def _check_known(study: Study, conditions: list[Condition], places: list[str]) -> None:
    """Check that conditions are in the training grid or in the test grid.

    The workflow forms images of these conditions only. `places` has the place where the user gave
    each condition, or "".
    """
    known = {*study.train_conditions, *study.test_conditions}
    for condition, place in zip(conditions, places, strict=True):
        if condition not in known:
            where = f"{place}: " if place else ""
            raise PassbandError(f"{where}{_why_unknown(study, condition)}")


def _why_unknown(study: Study, condition: Condition) -> str:
    """Return what is wrong with a condition that is in neither grid."""
    grids = (study.train_axes, study.test_axes)
    for name, value in condition.values().items():
        # An axis that the study does not have has its own value under all conditions.
        own = [study.axes.others.get(name)]
        known = sorted({v for axes in grids for v in axes.get(name, own)})
        if value not in known:
            allowed = ", ".join(f"{v:g}" for v in known[:_MOST_LISTED])
            more = ", ..." if len(known) > _MOST_LISTED else ""
            one_of = "one of " if len(known) > 1 else ""
            return f"{name} = {value:g}: must be {one_of}{allowed}{more}"
    what = "mixes values of the training and the test grid"
    if len([*study.train_products, *study.test_products]) > 2:
        what = "is none of the study's conditions"
    return f"condition {condition.id}: {what}"
