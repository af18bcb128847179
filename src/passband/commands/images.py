"""``passband images``: make images of a study's structures under a condition."""

import argparse

from passband import PassbandError
from passband.commands.arguments import add_study
from passband.commands.conditions import (
    Given,
    add_conditions,
    check_conditions,
    given_conditions,
)
from passband.commands.on_request import make
from passband.commands.run import add_machine
from passband.config import SPLITS, Study
from passband.jobs import layout
from passband.jobs.locate import locate_study

#: Largest number of values that an error message lists.
_MOST_LISTED = 20

#: Largest number of values that an error message lists.
_MOST_LISTED = 20

#: Largest number of values that an error message lists.
_MOST_LISTED = 20


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "images",
        description="Make images of a study's structures under conditions of its training grid or "
        "test grid, with masks, and print where they are. They are made with Snakemake.",
    )
    add_study(command)
    add_conditions(command)
    command.add_argument("--specimen", help="the specimen (default: the study's first)")
    command.add_argument(
        "--split", default="test", help=f"{', '.join(SPLITS[:-1])} or {SPLITS[-1]} (default: test)"
    )
    add_machine(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    PassbandError
        If the study, the specimen, the split or a condition is wrong.
    """
    study, results = locate_study(options.study)
    specimen = options.specimen or next(iter(study.specimens))
    if specimen not in study.specimens:
        raise PassbandError(
            f"--specimen = {specimen!r}: must be one of {', '.join(study.specimens)}"
        )
    splits = study.specimens[specimen].splits
    if options.split not in splits:
        raise PassbandError(f"--split = {options.split!r}: must be one of {', '.join(splits)}")
    given = given_conditions(options)
    if not given:
        raise PassbandError("no condition: give a value of each axis, or --conditions FILE.csv")
    conditions = check_conditions(study, given)
    for one in given:
        _check_known(study, one)
    paths = [
        layout.IMAGES.format(specimen=specimen, split=options.split, condition=c.id, whose="")
        for c in dict.fromkeys(conditions)
    ]
    return make(options, results, paths)


def _check_known(study: Study, given: Given) -> None:
    """Check that a condition is in the training grid or in the test grid.

    The workflow forms images of these conditions only.
    """
    grids, own = (study.train_axes, study.test_axes), study.own_values
    if given.condition in {*study.train_conditions, *study.test_conditions}:
        return
    where = f"{given.where}: " if given.where else ""
    for name, value in given.condition.values(own).items():
        known = sorted({v for axes in grids for v in axes[name]})
        if value not in known:
            allowed = ", ".join(f"{v:g}" for v in known[:_MOST_LISTED])
            more = ", ..." if len(known) > _MOST_LISTED else ""
            raise PassbandError(f"{where}{name} = {value:g}: must be one of {allowed}{more}")
    products = [*study.train_products, *study.test_products]
    what = "mixes values of the training and the test grid"
    if len(products) > 2:
        what = "is none of the study's conditions"
    raise PassbandError(f"{where}condition {given.condition.id}: {what}")
