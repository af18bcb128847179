"""An engine of exit waves: the phase object approximation, for structures that are thin.

In the study: `microscope.engine: phase-object`. No electron is lost, and none travels between
atoms: compare its images with those of multislice before you use it.
"""

import numpy as np

from passband.parts import engine
from passband.specimens.multislice import Multislice, interaction


@engine(name="phase-object", bytes_per_pixel=80, seconds_per_pixel=1e-8)
class PhaseObject:
    """exp(iσV), from the projected potential V and the interaction parameter σ."""

    def __init__(self, sampling, energy, device):
        self.potential = Multislice(sampling, energy, device).potential
        self.interaction = interaction(energy)

    def wave(self, atoms):
        """Return the wave behind a structure, (pixels, pixels); it is 1 for vacuum."""
        return np.exp(1j * self.interaction * self.potential(atoms)).astype(np.complex64)
