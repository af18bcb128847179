"""An engine of exit waves: the phase grating, for which all atoms are in one slice.

It is right for thin specimens of light atoms only. In the study: `microscope.engine: projection`.
"""

import numpy as np

from passband.parts import engine
from passband.specimens.multislice import interaction, scattering


@engine(name="projection", bytes_per_pixel=100, seconds_per_pixel=1e-7)
class Projection:
    """Computes the wave behind a structure from its projected potential."""

    def __init__(self, sampling, energy, device):
        """Prepare the grid of pixels, for a beam energy [eV]; the device is always the CPU."""
        self.pixels = sampling.px
        self.field_A = sampling.field_A
        self.energy = energy

    def wave(self, atoms):
        """Return the wave, (pixels, pixels) complex; 1 is vacuum."""
        k = np.fft.fftfreq(self.pixels, 1 / self.pixels) / self.field_A
        q = np.hypot(k[:, None], k)
        symbols = np.array(atoms.get_chemical_symbols())
        spectrum = np.zeros_like(q, complex)
        for element in np.unique(symbols):
            x, y = atoms.positions[symbols == element, :2].T
            places = np.exp(-2j * np.pi * np.outer(k, x)) @ np.exp(-2j * np.pi * np.outer(y, k))
            spectrum += scattering(str(element), q) * places
        potential = np.fft.ifft2(spectrum).real * (self.pixels / self.field_A) ** 2
        return np.exp(1j * interaction(self.energy) * potential).astype(np.complex64)
