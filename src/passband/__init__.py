"""Passband: does a network that was trained under one transfer function work under another?"""

from importlib.metadata import version

from passband.console import escaped

__version__ = version("passband")

#: Version number of the results of each stage. Snakemake does not see changes inside a package, so
#: every rule of Snakemake has the version number of its stage as a param. Increase a stage's
#: version number if a change of the code changes the results of this stage. Snakemake then makes
#: the stage's results again, and all results that depend on them.
STAGES = {
    "simulate": 3,
    "train": 6,
    "evaluate": 3,
    "information": 3,
    "aggregate": 3,
    "ood": 4,
    "distances": 1,
    "prediction": 3,
    "figures": 6,
    "report": 1,
}


class PassbandError(Exception):
    """An error that a user can correct. Its message of one line is shown without a traceback."""

    def __str__(self) -> str:
        return escaped(super().__str__())  # it may have the name of a file from somebody else
