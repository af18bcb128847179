"""The configuration of a study: models of its keys, and tables of materials and architectures.

Each block of the configuration is a pydantic model. Related models are in one file.
:mod:`passband.config.base` describes how to add a key.
"""

from passband.config.analysis import FEWEST_PREDICTED
from passband.config.background import Background
from passband.config.base import SPLITS, Block, block_of
from passband.config.loading import (
    MOST_LINES,
    PARTS,
    SOURCE,
    load,
    load_stored,
    validate,
    validate_job,
    validate_stored,
)
from passband.config.microscope import Aberrations, Detector, Microscope, Spread
from passband.config.specimen import MOST_IN_PARTICLE, Specimen, too_many_atoms
from passband.config.specimen_blocks import (
    Diameter,
    Orientation,
    Particles,
    Planes,
    Substrate,
    Thermal,
)
from passband.config.study import Study
from passband.config.study_file import ConfigError
from passband.config.training import Training
