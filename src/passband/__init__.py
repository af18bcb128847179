"""Passband: does a network that was trained under one transfer function work under another?

A study has networks that were trained under some conditions of a microscope and tested under
others. :func:`passband.open` opens it, or a published network, or ``"general"``, a network of the
package:

>>> import passband
>>> demo = passband.open("demo")  # a study by its name, its file or its folder

Its results are matrices, one for each specimen, architecture and test specimen: M(i, j) is the mean
Dice of networks that were trained under condition i and tested under condition j. This draws how
Dice decays with the distance of the test condition from the training condition:

>>> (matrix,) = demo.matrices()
>>> points = matrix.metrics.plot.scatter(x="distance", y="dice")

Images can be formed under any condition, inside or outside the grid. Networks are found by their
ids, and find the particles in an image:

>>> here = {"defocus_nm": 7.5, "cs_um": 1.2, "aperture_mrad": 10, "dose_e_per_A2": 1000}
>>> images = demo.images(here)
>>> best = demo.recommend(here).networks[0]  # the network to use here
>>> network = demo.networks[best.id]
>>> found = network.segment(images.counts[0], pixel_size_A=demo.study.microscope.pixel_size_A)
>>> sizes = [particle.diameter_nm for particle in found.particles]

Images of a microscope are segmented from their files:

>>> found = passband.open("general").segment("image.tif")
>>> found.mask.shape == found.probability.shape
True
>>> found.verdict.startswith("looks like the training images; expected Dice 0.")
True
"""

import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from passband.errors import PassbandError
from passband.stages import STAGES as STAGES
from passband.version import __version__ as __version__

# A process that a command of Passband has started, such as a job.
if "PASSBAND_OWN_SETTINGS" in os.environ:
    import_module("passband.processes").obey_only_own_settings()

if TYPE_CHECKING:
    from passband.config import Study
    from passband.door import Experiment, Network, Networks, TrainedNetwork, open
    from passband.door.making import new, new_part
    from passband.door.merging import merge
    from passband.door.reference import docs
    from passband.grid import Condition
    from passband.matrices.matrix import Matrix
    from passband.micrographs.rings.lenses import ctf
    from passband.micrographs.segmented_files import measure_labels
    from passband.network_id import NetworkId

__all__ = [
    "Condition",
    "Experiment",
    "Matrix",
    "Network",
    "NetworkId",
    "Networks",
    "PassbandError",
    "Study",
    "TrainedNetwork",
    "ctf",
    "docs",
    "measure_labels",
    "merge",
    "new",
    "new_part",
    "open",
]

#: The modules of the other public names. A module is imported when its name is first used.
_MODULES = {
    "open": "passband.door",
    "Experiment": "passband.door",
    "Network": "passband.door.network",
    "Networks": "passband.door",
    "TrainedNetwork": "passband.door",
    "Condition": "passband.grid",
    "Matrix": "passband.matrices.matrix",
    "NetworkId": "passband.network_id",
    "Study": "passband.config",
    "docs": "passband.door.reference",
    "merge": "passband.door.merging",
    "new": "passband.door.making",
    "new_part": "passband.door.making",
    "ctf": "passband.micrographs.rings.lenses",
    "measure_labels": "passband.micrographs.segmented_files",
}

#: Names that need no package of the extra `grid`.
_LIGHT = {"Condition", "Network", "NetworkId", "ctf", "measure_labels", "open"}

#: Old public names, each with its new name and the version in which the old one goes.
_RENAMED: dict[str, tuple[str, str]] = {}


if not TYPE_CHECKING:

    def __getattr__(name: str):
        if name in _RENAMED:
            new, end = _RENAMED[name]
            said = f"passband.{name} is now passband.{new}; the old name goes in Passband {end}"
            warnings.warn(said, DeprecationWarning, stacklevel=2)
            return getattr(import_module(__name__), new)
        if name in _MODULES:
            if name not in _LIGHT:
                from passband import extras

                extras.check(extras.GRID, f"passband.{name}")
            return getattr(import_module(_MODULES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # help(passband) has the public names, too
