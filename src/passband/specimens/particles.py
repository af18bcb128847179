"""The package's kind of specimen: particles on amorphous carbon."""

import numpy as np

from passband.config import Specimen
from passband.optics.sampling import Sampling
from passband.parts import specimen
from passband.specimens import structures


@specimen(keeps_particles=True)
def particles(
    specimen: Specimen,
    sampling: Sampling,
    rng: np.random.Generator,
    own: tuple[Specimen, Sampling] | None,
) -> structures.Structure:
    """Return crystalline particles on one or both faces of amorphous carbon, or in vacuum."""
    return structures.draw(specimen, sampling, rng, own)
