"""A noise model: a camera that does not count electrons, but adds the noise of its read-out.

In the study: `microscope.noise: readout`.
"""

import numpy as np

from passband.parts import noise

#: Standard deviation of the noise of the read-out, in electrons.
READOUT = 1.5


@noise
def readout(electrons: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the counts of an image, from the expected electrons of its pixels.

    All random numbers are from `rng`, so that the image is the same in every job.
    """
    return rng.poisson(electrons) + rng.normal(0, READOUT, electrons.shape)
