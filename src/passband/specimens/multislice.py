"""Multislice: the electron wave behind a structure.

A structure is cut into slices at right angles to the beam. The wave is multiplied by the
transmission function of each slice, exp(iσV) with the slice's projected potential V. Then the wave
is propagated to the next slice (Cowley & Moodie, *Acta Cryst.* 10, 609, 1957; Kirkland, *Advanced
Computing in Electron Microscopy*, 2nd ed., ch. 6). V is the sum of the potentials of independent
atoms, by Lobato & Van Dyck (*Acta Cryst.* A70, 636, 2014). The whole potential of an atom is
projected into the slice that has the atom's nucleus.

The wave converges on multislice pixels of moderate size because of three properties.
docs/scripts/convergence.py measures the convergence.

- Atoms are at their exact positions, which the phases of Fourier coefficients represent. If each
  atom were distributed over the four nearest pixels, it would be blurred by up to a pixel.
- The core of an atom is smaller than a pixel. If the potential were cut off at the Nyquist
  frequency of the multislice grid, the transmission function would change at all frequencies, since
  an exponential is not linear. So each element has an effective potential W: up to the Nyquist
  frequency, exp(iσW) has the true coefficients of exp(iσV), see :func:`effective`.
- The wave keeps all frequencies of the multislice grid. If the upper third of the frequencies were
  removed, products would not alias. But electrons that a column of atoms scatters to high angles
  and back would be lost. Aliased frequencies are far from the frequencies of the image, which are a
  small part of the frequencies of the multislice grid.
"""

import functools
import importlib.util
import json
import warnings
from math import ceil, pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
from ase import Atoms
from ase.data import chemical_symbols
from scipy import constants
from scipy.interpolate import CubicSpline
from scipy.special import i0, j0, k0, k1

from passband.optics import ctf
from passband.optics.sampling import Sampling

try:
    import cupy
    import cupyx.scipy.fft
except ModuleNotFoundError:
    cupy = None
except Exception as error:
    warnings.warn(f"CuPy is installed but does not import: {error}; using the CPU", stacklevel=2)
    cupy = None

#: Largest thickness of a slice [Å]. With thinner slices, an exit wave would change by less than 1%
#: of its contrast, at spatial frequencies up to 0.95 of the cutoff.
SLICE_A = 1.0

#: The constant h²/2πme = 47.878 V Å², which converts an electron scattering factor to a potential.
_VOLT_A2 = constants.h**2 / (2 * pi * constants.electron_mass * constants.elementary_charge) * 1e20

#: Width [pixels] and shape parameter of the Kaiser-Bessel kernel that replaces the delta function
#: of an atom. The kernel is for frequencies up to 0.4 per pixel: 0.8 of the Nyquist frequency.
_WIDTH = 6
_BETA = pi * _WIDTH * (1 - 0.4)

#: Maximum error of a Fourier coefficient of an atom's transmission function, relative to the
#: coefficient of σV at zero frequency, and the maximum number of Newton steps. Gold on pixels of
#: 0.09 Å at 300 kV needs 5 steps.
_TOLERANCE, _STEPS = 1e-4, 30

#: Beyond this distance from an atom [Å], the square of its phase shift is negligible.
_REACH_A = 5.0


def resolve_device(device: str = "auto") -> str:
    """Return "cpu" or "gpu" for "auto", "cpu" or "gpu".

    For "auto", the result is "gpu" if CuPy can compute on a GPU, and "cpu" otherwise. If CuPy finds
    a GPU or a driver but cannot use it, a warning is issued.
    """
    if device != "auto":
        return device
    try:
        if cupy is None or not cupy.cuda.is_available():
            return "cpu"
        # A product and a Fourier transform together need all libraries that multislice needs.
        (cupy.fft.fft2(cupy.ones((8, 8), np.complex64)) * 2).get()
    except Exception as error:
        warnings.warn(f"CuPy does not work: {error}; using the CPU", stacklevel=2)
        return "cpu"
    return "gpu"


def interaction(energy: float) -> float:
    """Return σ = 2πγmeλ/h² [rad/(V Å)]: the phase shift of a wave by unit projected potential.

    γm is the electron's relativistic mass (Kirkland, 2nd ed., eq. 5.6). The energy is in eV.
    """
    gamma = 1 + energy * constants.elementary_charge / (
        constants.electron_mass * constants.speed_of_light**2
    )
    return gamma * ctf.wavelength(energy) / _VOLT_A2


# ── Atoms ────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def _lobato() -> dict[str, list[list[float]]]:
    # abTEM's table is read as a file, since the import of abTEM takes seconds.
    (folder,) = importlib.util.find_spec("abtem").submodule_search_locations
    return json.loads((Path(folder) / "parametrizations" / "data" / "lobato.json").read_text())


def scattering(element: str, q: np.ndarray) -> np.ndarray:
    """Return the Fourier transform of an atom's projected potential [V Å³].

    The transform is h²/2πme · Σ aᵢ(2 + bᵢq²)/(1 + bᵢq²)². The inverse transform of it, ∫ … d²q, is
    :func:`projected`. The spatial frequency q is in 1/Å.
    """
    q2 = np.square(q)
    return _VOLT_A2 * sum(
        a * (2 + b * q2) / (1 + b * q2) ** 2 for a, b in zip(*_lobato()[element], strict=True)
    )


def projected(element: str, r: np.ndarray) -> np.ndarray:
    """Return an atom's projected potential [V Å].

    The projected potential is h²/2πme · Σ (2πaᵢ/bᵢ)(K₀(x) + ½x·K₁(x)) with x = 2πr/√bᵢ. The
    projected potential is infinite at r = 0. The projected distance r from the nucleus is in Å.
    """
    total = np.zeros_like(r)
    for a, b in zip(*_lobato()[element], strict=True):
        x = 2 * pi / sqrt(b) * r
        total += 2 * pi * a / b * (k0(x) + x / 2 * k1(x))
    return _VOLT_A2 * total


def _nodes(number: int, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Return `number` or more Gauss-Legendre nodes and weights, in equal panels of 16 to `end`."""
    x, weights = np.polynomial.legendre.leggauss(16)
    panels = ceil(number / 16)
    places = (np.arange(panels)[:, None] + (x + 1) / 2) * end / panels
    return places.ravel(), np.tile(weights * end / (2 * panels), panels)


def effective(element: str, nyquist: float, energy: float) -> CubicSpline:
    """Return the correction of an atom's σV(q) for the part of V beyond the Nyquist frequency.

    V is the projected potential of the atom, and W is its effective potential. W has no Fourier
    coefficients beyond the Nyquist frequency of the multislice grid. Up to this frequency, exp(iσW)
    has the Fourier coefficients of exp(iσV). Newton's method finds W, starting at V:

        W ← W + P[P[exp(iσV) − exp(iσW)]·exp(−iσW)]/iσ,

    where P removes all frequencies beyond the Nyquist frequency. To second order, W is
    P[V + iσ/2·(V² − (PV)²)]. The square of the part of V beyond the Nyquist frequency has Fourier
    coefficients below the Nyquist frequency, and they damp the wave.

    Args:
        nyquist: The Nyquist frequency: half the reciprocal of the pixel size [1/Å].
        energy: Beam energy [eV].

    Returns:
        σ(W − V) [rad Å²], complex, as a function of the spatial frequency [1/Å].
    """
    sigma = interaction(energy)
    waves = ceil(nyquist * _REACH_A)
    q, dq = _nodes(100 + 4 * waves, nyquist)
    # The nodes of the quadrature are dense near the nucleus, where the potential is logarithmic.
    s, ds = _nodes(200 + 12 * waves, sqrt(_REACH_A))
    r, dr = s**2, 2 * s * ds
    bessel = j0(2 * pi * np.outer(q, r))
    to_q = bessel * (2 * pi * r * dr)  # Hankel's transform and its inverse
    to_r = bessel.T * (2 * pi * q * dq)

    def beyond_first_order(phase: np.ndarray) -> np.ndarray:
        return np.exp(1j * phase) - 1 - 1j * phase

    # The linear term of exp(iσV) is known at every frequency. The terms of higher order are 0 at
    # distances from the nucleus beyond _REACH_A.
    phase_q = sigma * scattering(element, q)
    true = to_q @ beyond_first_order(sigma * projected(element, r))
    effective_q = phase_q.astype(complex)
    error = np.inf
    for _ in range(_STEPS):
        phase = to_r @ effective_q
        missing = true - to_q @ beyond_first_order(phase) + 1j * (phase_q - effective_q)
        before, error = error, np.abs(missing).max() / phase_q[0]
        # For slow electrons, the error may increase again after it has decreased to a thousandth.
        if error < _TOLERANCE or error > before:
            break
        effective_q += (missing + to_q @ ((to_r @ missing) * (np.exp(-1j * phase) - 1))) / 1j
    return CubicSpline(q, effective_q - phase_q)


# ── Multislice ───────────────────────────────────────────────────────────────────────────────────


class Multislice:
    """Propagates a plane wave through structures, on one multislice grid and at one beam energy.

    Args:
        sampling: The multislice grid. The field of the grid is the side of the structures' cells.
        energy: Beam energy [eV].
        device: `cpu` or `gpu`.
    """

    def __init__(self, sampling: Sampling, energy: float, device: str = "cpu"):
        self.sampling, self.energy = sampling, energy
        self._xp: Any = np if device == "cpu" else cupy
        # scipy's Fourier transforms give the same bits in every process.
        self._fft: Any = scipy.fft if device == "cpu" else cupyx.scipy.fft
        px = sampling.px
        k = np.fft.fftfreq(px, 1 / px)
        self._k, half = k / sampling.field_A, np.arange(px // 2 + 1)
        self._q = np.hypot(self._k[:, None], half / sampling.field_A)
        # This factor converts the Fourier coefficients of Kaiser-Bessel kernels to those of a
        # density of delta functions [1/Å²]. The factor is 0 from the Nyquist frequency on.
        self._scale = (self._q < 1 / (2 * sampling.pixel_A)) / sampling.field_A**2
        self._scale /= np.outer(_kernel_transform(k / px), _kernel_transform(half / px))
        self._tables: dict[str, tuple] = {}

    def wave(self, atoms: Atoms) -> np.ndarray:
        """Return the wave behind a structure, for an incident plane wave of amplitude 1.

        The beam travels along +z, and the result is the wave at the top of the cell. Electrons that
        are scattered beyond the Nyquist frequency of the multislice grid are lost, so that the mean
        intensity of the wave is slightly below 1.

        Args:
            atoms: Atoms in an orthorhombic cell, field × field × height [Å]. All atoms are inside
                the cell.

        Returns:
            (px, px) complex64: the wave. The first axis is x.
        """
        px, height = self.sampling.px, atoms.cell.lengths()[2]
        number = ceil(height / SLICE_A)
        # Fresnel's propagator between slices is exp(−iπλΔz·q²).
        along = np.exp(-1j * pi * ctf.wavelength(self.energy) * height / number * self._k**2)
        propagator = self._xp.asarray(np.outer(along, along).astype(np.complex64))
        spectrum = self._xp.zeros((px, px), np.complex64)
        spectrum[0, 0] = 1
        slices = np.minimum(atoms.positions[:, 2] / height * number, number - 1).astype(int)
        for k in range(number):
            # A slice without atoms only propagates the wave.
            if (inside := slices == k).any():
                wave = self._fft.ifft2(spectrum, norm="forward", overwrite_x=True)
                wave *= self._transmission(atoms.numbers[inside], atoms.positions[inside, :2])
                spectrum = self._fft.fft2(wave, norm="forward", overwrite_x=True)
            spectrum *= propagator
        wave = self._fft.ifft2(spectrum, norm="forward", overwrite_x=True)
        return wave if self._xp is np else wave.get()

    def potential(self, atoms: Atoms) -> np.ndarray:
        """Return a structure's projected potential [V Å], up to the Nyquist frequency of the grid.

        The result is (px, px) float32, and its first axis is x. The atoms are as for :meth:`wave`.
        """
        total = 0
        for number in np.unique(atoms.numbers):
            values = scattering(chemical_symbols[number], self._q) * self._scale
            places = self._places(atoms.positions[atoms.numbers == number, :2])
            total = total + places * self._xp.asarray(values, np.float32)
        potential = self._real(total)
        return potential if self._xp is np else potential.get()

    def _transmission(self, numbers: np.ndarray, positions: np.ndarray) -> Any:
        """Return a slice's transmission function."""
        xp = self._xp
        phase = damping = 0
        for number in np.unique(numbers):
            real, imaginary = self._table(chemical_symbols[number])
            places = self._places(positions[numbers == number])
            phase, damping = phase + places * real, damping + places * imaginary
        phase, amplitude = self._real(phase), xp.exp(-self._real(damping))
        transmission = xp.empty(phase.shape, np.complex64)
        transmission.real = xp.cos(phase) * amplitude
        transmission.imag = xp.sin(phase) * amplitude
        return transmission

    def _places(self, positions: np.ndarray) -> Any:
        """Return the Fourier coefficients of kernels at the positions, over half the plane."""
        xp, px = self._xp, self.sampling.px
        (i, x), (j, y) = (_spread(along / self.sampling.field_A * px, px) for along in positions.T)
        i, x, j, y = map(xp.asarray, (i, x, j, y))
        spread = xp.bincount(
            (i[:, :, None] * px + j[:, None, :]).ravel(),
            (x[:, :, None] * y[:, None, :]).ravel(),
            px**2,
        )
        return self._fft.rfft2(spread.astype(np.float32).reshape(px, px), overwrite_x=True)

    def _real(self, coefficients: Any) -> Any:
        """Return the real function that has the given Fourier coefficients over half the plane."""
        shape = self.sampling.px, self.sampling.px
        return self._fft.irfft2(coefficients, s=shape, norm="forward", overwrite_x=True)

    def _table(self, element: str) -> tuple:
        """Return the Fourier coefficients of an atom's phase shift and damping of the wave.

        The atom is of the given element, and the coefficients are over half the plane.
        """
        if element not in self._tables:
            nyquist = 1 / (2 * self.sampling.pixel_A)
            values = interaction(self.energy) * scattering(element, self._q)
            values = (values + effective(element, nyquist, self.energy)(self._q)) * self._scale
            self._tables[element] = tuple(
                self._xp.asarray(part, np.float32) for part in (values.real, values.imag)
            )
        return self._tables[element]


def _spread(places: np.ndarray, px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and kernel values at points on an axis, both (points, kernel's width)."""
    first = np.ceil(places - _WIDTH / 2).astype(int)
    pixels = first[:, None] + np.arange(_WIDTH)
    x = (pixels - places[:, None]) * (2 / _WIDTH)
    return pixels % px, i0(_BETA * np.sqrt(np.maximum(0, 1 - x**2)))


def _kernel_transform(k: np.ndarray) -> np.ndarray:
    """Return the Fourier transform of the kernel that replaces a point [pixels].

    The transform of the Kaiser-Bessel kernel I₀(β√(1 − (2x/w)²)) is w·sinh(s)/s with
    s = √(β² − (πwk)²) (Beatty, Nishimura & Pauly, *IEEE Trans. Med. Imaging* 24, 799, 2005). The
    frequency k is at most ½ per pixel.
    """
    s = np.sqrt(_BETA**2 - (pi * _WIDTH * k) ** 2)
    return _WIDTH * np.sinh(s) / s
