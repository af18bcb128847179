"""Passband: does a network that was trained under one transfer function work under another?

    import passband

    demo = passband.open("demo")                      # a study by its name, file or folder
    demo.ood.decay                                    # its results are xarray Datasets
    demo.networks                                     # its trained networks, by their ids
    demo.recommend({"defocus_nm": 12, "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 400})
    passband.open("general").segment("image.dm4")     # find the particles in an image

`help(passband.Experiment)` says what a study has.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

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


if TYPE_CHECKING:
    from passband.config import Study
    from passband.door import Experiment, Networks, TrainedNetwork, open
    from passband.grid import Condition
    from passband.network_id import NetworkId

__all__ = [
    "Condition",
    "Experiment",
    "NetworkId",
    "Networks",
    "PassbandError",
    "Study",
    "TrainedNetwork",
    "open",
]

#: The modules of the public names. A module is imported when its name is first used.
_MODULES = {
    "open": "passband.door",
    "Experiment": "passband.door",
    "Networks": "passband.door",
    "TrainedNetwork": "passband.door",
    "Condition": "passband.grid",
    "NetworkId": "passband.network_id",
    "Study": "passband.config",
}


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
