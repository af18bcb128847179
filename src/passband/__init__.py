"""Passband: does a network trained under one contrast transfer function work under another?"""

from importlib.metadata import version

__version__ = version("passband")

#: Version of what each stage computes. Snakemake does not see changes inside a package, so every
#: rule carries its stage's number as a param: raise it when the stage's results change, and
#: exactly what depends on them is made again.
STAGES = {
    "simulate": 2,
    "train": 4,
    "evaluate": 3,
    "information": 3,
    "aggregate": 3,
    "distances": 1,
    "prediction": 2,
    "figures": 5,
}


class PassbandError(Exception):
    """An error that a user can mend. Its message is one line and is shown without a traceback."""
