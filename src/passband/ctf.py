"""The contrast transfer function: aberration phase, aperture, envelopes, linear transfer.

Everything here is numpy in float64 and in abTEM's units: lengths in Å, angles in mrad where they
are parameters and in rad where they are coordinates (α = λq), energies in eV.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial.hermite import hermgauss

_HC = 12398.419843320026  # Planck's constant × speed of light [eV Å], CODATA 2018, exact
_REST_ENERGY = 510998.95  # electron rest energy [eV], CODATA 2018


@dataclass(frozen=True)
class Optics:
    """The microscope under one condition, in internal units.

    Attributes
    ----------
    energy : float
        Beam energy [eV].
    defocus : float
        Positive is underfocus: C10 = −defocus [Å].
    cs : float
        Third-order spherical aberration C30 [Å].
    aperture : float
        Objective semi-angle [mrad].
    aperture_edge : float
        Width over which the aperture's edge falls from 1 to 0 [mrad]; 0 is a hard edge.
    focal_spread : float
        1/e width Δ of the focal distribution exp(−δ²/Δ²) [Å]; √2 times its standard deviation.
    source_spread : float
        Angular spread β of the illumination [mrad], as abTEM's ``angular_spread``.
    c12, phi12, c21, phi21, c23, phi23 : float
        Two-fold astigmatism, axial coma and three-fold astigmatism [Å] and azimuths [rad].
    """

    energy: float
    defocus: float = 0.0
    cs: float = 0.0
    aperture: float = np.inf
    aperture_edge: float = 0.0
    focal_spread: float = 0.0
    source_spread: float = 0.0
    c12: float = 0.0
    phi12: float = 0.0
    c21: float = 0.0
    phi21: float = 0.0
    c23: float = 0.0
    phi23: float = 0.0

    @property
    def round(self) -> bool:
        """Whether the lens looks the same along every azimuth."""
        return self.c12 == self.c21 == self.c23 == 0


def wavelength(energy: float) -> float:
    """Return the relativistic electron wavelength λ = hc/√(E(E + 2mc²)) [Å].

    Parameters
    ----------
    energy : float
        Kinetic energy E [eV].

    Raises
    ------
    ValueError
        If the energy is not positive.
    """
    if not energy > 0:
        raise ValueError(f"energy {energy} eV is not positive")
    return _HC / np.sqrt(energy * (energy + 2 * _REST_ENERGY))


def aberration_phase(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the aberration phase χ(q, φ) [rad]; a wave is multiplied by exp(−iχ).

    χ = (2π/λ)·[½α²(C10 + C12 cos 2(φ−φ12)) + ⅓α³(C21 cos(φ−φ21) + C23 cos 3(φ−φ23)) + ¼α⁴C30]
    with α = λq, C10 = −defocus and C30 = Cs (Kirkland, 2nd ed., eq. 2.22, in abTEM's signs).

    Parameters
    ----------
    q : array
        Spatial frequency [1/Å].
    phi : array or float
        Azimuth [rad], broadcast against `q`.
    """
    lam = wavelength(optics.energy)
    a = lam * q
    second = -optics.defocus + optics.c12 * np.cos(2 * (phi - optics.phi12))
    third = optics.c21 * np.cos(phi - optics.phi21) + optics.c23 * np.cos(3 * (phi - optics.phi23))
    return 2 * np.pi / lam * (a**2 / 2 * second + a**3 / 3 * third + a**4 / 4 * optics.cs)


def aberration_gradient(
    optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return ∂χ/∂α and (1/α)·∂χ/∂φ [1/rad], the gradient of :func:`aberration_phase`."""
    lam = wavelength(optics.energy)
    a = lam * q
    radial = (
        a * (-optics.defocus + optics.c12 * np.cos(2 * (phi - optics.phi12)))
        + a**2
        * (optics.c21 * np.cos(phi - optics.phi21) + optics.c23 * np.cos(3 * (phi - optics.phi23)))
        + a**3 * optics.cs
    )
    azimuthal = -(
        a * optics.c12 * np.sin(2 * (phi - optics.phi12))
        + a**2
        * (
            optics.c21 / 3 * np.sin(phi - optics.phi21)
            + optics.c23 * np.sin(3 * (phi - optics.phi23))
        )
    )
    return 2 * np.pi / lam * radial, 2 * np.pi / lam * azimuthal


def coefficients(optics: Optics) -> np.ndarray:
    """Return the eight numbers [Å] that :func:`aberration_phase` is linear in.

    Defocus, Cs, and real and imaginary parts of C12·exp(2iφ12), C21·exp(iφ21), C23·exp(3iφ23).
    """
    pairs = (
        length * np.array([np.cos(n * azimuth), np.sin(n * azimuth)])
        for n, length, azimuth in (
            (2, optics.c12, optics.phi12),
            (1, optics.c21, optics.phi21),
            (3, optics.c23, optics.phi23),
        )
    )
    return np.concatenate([[optics.defocus, optics.cs], *pairs])


def basis(energy: float, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return phase and gradient of each of :func:`coefficients`' numbers, at 1 Å.

    Returns
    -------
    (3, 8, ...) array
        χ, ∂χ/∂α and (1/α)·∂χ/∂φ; multiplied by the coefficients and summed, they are
        :func:`aberration_phase` and :func:`aberration_gradient`.
    """
    units = [
        Optics(energy, defocus=1.0),
        Optics(energy, cs=1.0),
        *(
            Optics(energy, **{f"c{order}": 1.0, f"phi{order}": azimuth})
            for order, folds in (("12", 2), ("21", 1), ("23", 3))
            for azimuth in (0.0, np.pi / 2 / folds)
        ),
    ]
    shape = np.broadcast_shapes(np.shape(q), np.shape(phi))
    parts = [(aberration_phase(o, q, phi), *aberration_gradient(o, q, phi)) for o in units]
    return np.stack([[np.broadcast_to(p, shape) for p in part] for part in parts], axis=1)


def aperture(optics: Optics, q: np.ndarray) -> np.ndarray:
    """Return the aperture A(q): 1 inside the objective semi-angle, 0 outside.

    With `aperture_edge` w > 0 the edge is linear, clip((α₀ − α)/w + ½, 0, 1).
    """
    alpha = wavelength(optics.energy) * q * 1e3
    if optics.aperture_edge == 0:
        return (alpha <= optics.aperture).astype(float)
    return np.clip((optics.aperture - alpha) / optics.aperture_edge + 0.5, 0, 1)


def temporal_envelope(optics: Optics, q: np.ndarray) -> np.ndarray:
    """Return E_t = exp[−(½πλΔq²)²], Δ the 1/e focal spread (Kirkland, 2nd ed., sec. 3.2)."""
    lam = wavelength(optics.energy)
    return np.exp(-((np.pi / 2 * lam * optics.focal_spread * q**2) ** 2))


def spatial_envelope(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return E_s = exp[−(β/2)²|∇_α χ|²], β the source's angular spread, as abTEM defines it."""
    radial, azimuthal = aberration_gradient(optics, q, phi)
    return np.exp(-((optics.source_spread * 1e-3 / 2) ** 2) * (radial**2 + azimuthal**2))


def envelope(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return E = A·E_t·E_s, what bounds the transfer from both sides."""
    return aperture(optics, q) * temporal_envelope(optics, q) * spatial_envelope(optics, q, phi)


def transfer(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the linear phase-contrast transfer T_χ(q) = A·E_t·E_s·sin χ(q), between −1 and 1."""
    return envelope(optics, q, phi) * np.sin(aberration_phase(optics, q, phi))


def focal_series(optics: Optics, members: int) -> list[tuple[float, Optics]]:
    """Return a weighted focal series that replaces the temporal envelope.

    The members are the Gauss–Hermite nodes of the focal distribution exp(−δ²/Δ²)/(Δ√π); summing
    their intensities with the weights is right for linear and non-linear image terms alike.

    Parameters
    ----------
    members : int
        Number of focus steps; 2·members − 1 is the degree integrated exactly.

    Returns
    -------
    list of (float, Optics)
        Weights that add to 1, and optics without focal spread.
    """
    if optics.focal_spread == 0:
        return [(1.0, optics)]
    nodes, weights = hermgauss(members)
    return [
        (
            w / np.sqrt(np.pi),
            replace(optics, defocus=optics.defocus + x * optics.focal_spread, focal_spread=0.0),
        )
        for x, w in zip(nodes, weights, strict=True)
    ]


def displacement(optics: Optics) -> float:
    """Return how far the aberrations displace image detail, at most, within the aperture [Å].

    A wave component at q is displaced by |∇χ|/2π, for round lenses |Cs α³ − Δf α| (delocalisation,
    Coene & Jansen, *Scanning Microsc. Suppl.* 6, 379, 1992). On a periodic field of side L,
    displacements beyond L/2 wrap around: there χ changes by more than π between two frequencies.
    Aberrations that are not round are sampled along 360 azimuths.
    """
    lam = wavelength(optics.energy)
    q = np.linspace(0, (optics.aperture + optics.aperture_edge / 2) * 1e-3 / lam, 500)
    if optics.round:
        radial, _ = aberration_gradient(optics, q)
        return float(np.abs(radial).max() * lam / (2 * np.pi))
    gradient = aberration_gradient(optics, q, azimuths(360)[:, None])
    return float(np.hypot(*gradient).max() * lam / (2 * np.pi))


def azimuths(number: int) -> np.ndarray:
    """Return evenly spaced azimuths over a whole turn [rad], from half a step on."""
    return (np.arange(number) + 0.5) * 2 * np.pi / number


def azimuths_needed(optics: Optics, q_max: float) -> int:
    """Return how many azimuths integrate products of two transfers, up to `q_max` [1/Å].

    1 for a round lens. An aberration of n-fold symmetry and of phase a·cos nφ gives the product
    harmonics up to about 2na, beyond which they fall off faster than exponentially (Jacobi–Anger);
    evenly spaced azimuths integrate the harmonics below their own number exactly.
    """
    if optics.round:
        return 1
    lam = wavelength(optics.energy)
    alpha = min(q_max * lam, (optics.aperture + optics.aperture_edge / 2) * 1e-3)
    folds = (
        (2, optics.c12 * alpha**2 / 2),
        (1, optics.c21 * alpha**3 / 3),
        (3, optics.c23 * alpha**3 / 3),
    )
    highest = sum(2 * n * 2 * np.pi / lam * abs(length) for n, length in folds)
    return int(32 + 2 * np.ceil(highest / 2))


def members_needed(optics: Optics, q_max: float, tolerance: float = 0.01) -> int:
    """Return how many focal members reproduce the temporal envelope up to `q_max` [1/Å].

    The quadrature of the linear terms, Σ w cos(πλq²δ), must stay within `tolerance` of E_t(q) at
    every q below the aperture and `q_max`. 100 stands for 100 or more.
    """
    lam = wavelength(optics.energy)
    q = np.linspace(0, min(q_max, (optics.aperture + optics.aperture_edge / 2) * 1e-3 / lam), 200)
    exact = temporal_envelope(optics, q)
    for members in range(1, 100):
        nodes, weights = hermgauss(members)
        phase = np.pi * lam * optics.focal_spread * q[:, None] ** 2 * nodes
        if np.abs(np.cos(phase) @ weights / np.sqrt(np.pi) - exact).max() <= tolerance:
            return members
    return 100
