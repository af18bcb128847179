"""Multislice by abTEM: the electron wave behind a structure.

abTEM (Madsen & Susi, *Open Research Europe* 1, 24, 2021) is given the atoms, the potentials and the
slices of :mod:`passband.specimens.multislice`: the whole projected potential of an atom is in the
slice that has its nucleus. Two things differ, and need smaller pixels:

- An atom is distributed over the four nearest pixels, which blurs it.
- All frequencies beyond 2/3 of the Nyquist frequency of the multislice grid are removed, from the
  wave and from the transmission functions. Electrons that are scattered there are lost.
"""

import importlib
from types import ModuleType

import numpy as np
from ase import Atoms

from passband.errors import PassbandError
from passband.optics.sampling import Sampling
from passband.specimens.multislice import SLICE_A

#: Settings of abTEM while it computes, since a user's files and environment variables can change
#: its defaults. FFTW would choose algorithms by their time, so that the last bits would vary.
_SETTINGS = {
    "fft": "numpy",
    "precision": "float32",
    "antialias.cutoff": 2 / 3,
    "antialias.taper": 0.01,
    "diagnostics.progress_bar": False,
    "diagnostics.task_progress": False,
}


class AbtemMultislice:
    """Propagates a plane wave through structures by abTEM, in place of `Multislice`.

    Args:
        sampling: The multislice grid, whose field is the side of the structures' cells.
        energy: Beam energy [eV].
        device: `cpu` or `gpu`.

    Raises:
        PassbandError: If abTEM cannot be imported.
    """

    def __init__(self, sampling: Sampling, energy: float, device: str = "cpu"):
        self.sampling = sampling
        self.energy = energy
        self._device = device
        self._abtem = _imported()

    def wave(self, atoms: Atoms) -> np.ndarray:
        """Return the wave behind a structure, as :meth:`Multislice.wave` does.

        Raises:
            PassbandError: If the cell of the atoms is not the field, or if the memory of the
                machine or of the GPU is not sufficient.
        """
        px = self.sampling.px
        field_A = self.sampling.field_A
        if not np.allclose(sides := atoms.cell.lengths()[:2], field_A):
            raise PassbandError(
                f"a structure of {sides[0]:g} × {sides[1]:g} Å: must fill the multislice grid, "
                f"{field_A:g} × {field_A:g} Å"
            )
        try:
            with self._abtem.config.set({**_SETTINGS, "device": self._device}):
                potential = self._abtem.Potential(
                    atoms,
                    gpts=px,
                    slice_thickness=SLICE_A,
                    parametrization="lobato",
                    projection="infinite",
                    # An atom that thermal motion displaces beyond the bottom stays there.
                    periodic=False,
                    device=self._device,
                )
                incident = self._abtem.PlaneWave(energy=self.energy, device=self._device)
                return incident.multislice(potential, lazy=False).to_cpu().array
        except MemoryError:  # CuPy's error for the memory of a GPU is one, too
            raise PassbandError(
                f"microscope.multislice_pixel_A: {px} pixels a side, {self.sampling.pixel_A:.3g} "
                f"Å each, need more memory than abTEM has on the {self._device.upper()}; take "
                "larger pixels or a smaller field"
            ) from None


def _imported() -> ModuleType:
    """Return abTEM, whose import takes seconds."""
    try:
        return importlib.import_module("abtem")
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise PassbandError(
            f"microscope.engine = 'abtem': abTEM does not import ({why}); install it again, with "
            "pip install --force-reinstall abtem, or take 'passband'"
        ) from None
