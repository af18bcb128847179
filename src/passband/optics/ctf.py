"""The contrast transfer function: aberration phase, aperture, envelopes, linear transfer.

All functions compute with numpy in float64. Units are abTEM's: lengths are in Å and energies in eV.
Angles that are parameters are in mrad, and angles that are coordinates (α = λq) are in rad.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.polynomial.hermite import hermgauss

_HC = 12398.419843320026  # Planck's constant × speed of light [eV Å], CODATA 2018, exact
_REST_ENERGY = 510998.95  # electron rest energy [eV], CODATA 2018


@dataclass(frozen=True)
class Optics:
    """The microscope under one condition, in internal units.

    Attributes:
        energy: Beam energy [eV].
        defocus: Defocus [Å]. A positive defocus is underfocus: C10 = −defocus.
        cs: Third-order spherical aberration C30 [Å].
        aperture: Semi-angle of the objective aperture [mrad].
        aperture_edge: Width of the aperture's edge, where A(q) falls from 1 to 0 [mrad]; 0 is a
            hard edge.
        focal_spread: 1/e width Δ of the focal distribution exp(−δ²/Δ²) [Å]: √2 times the standard
            deviation.
        source_spread: Angular spread β of the illumination [mrad], as abTEM's ``angular_spread``.
        c12, phi12, c21, phi21, c23, phi23: Lengths [Å] and azimuths [rad] of two-fold astigmatism,
            axial coma and three-fold astigmatism.
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
        """Whether the aberrations are the same along every azimuth."""
        return self.c12 == self.c21 == self.c23 == 0


def wavelength(energy: float) -> float:
    """Return the relativistic electron wavelength λ = hc/√(E(E + 2mc²)) [Å].

    Args:
        energy: Kinetic energy E [eV].

    Raises:
        ValueError: If the energy is not positive.
    """
    if not energy > 0:
        raise ValueError(f"energy {energy} eV is not positive")
    return _HC / np.sqrt(energy * (energy + 2 * _REST_ENERGY))


def aberration_phase(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the aberration phase χ(q, φ) [rad]; a wave is multiplied by exp(−iχ).

    χ = (2π/λ)·[½α²(C10 + C12 cos 2(φ−φ12)) + ⅓α³(C21 cos(φ−φ21) + C23 cos 3(φ−φ23)) + ¼α⁴C30]
    with α = λq, C10 = −defocus and C30 = Cs (Kirkland, 2nd ed., eq. 2.22, in abTEM's signs).

    Args:
        q: Spatial frequency [1/Å].
        phi: Azimuth [rad], broadcast against `q`.
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
    """Return the eight aberration coefficients [Å]; :func:`aberration_phase` is linear in them.

    The coefficients are defocus, Cs, and the real and imaginary parts of C12·exp(2iφ12),
    C21·exp(iφ21) and C23·exp(3iφ23).
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
    """Return the aberration phase χ and its gradient, for each aberration coefficient of 1 Å.

    The coefficients are those of :func:`coefficients`, in the same order.

    Returns:
        (3, 8, ...): χ, ∂χ/∂α and (1/α)·∂χ/∂φ for each coefficient. Sums over the coefficients,
        weighted with their values, are :func:`aberration_phase` and :func:`aberration_gradient`.
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
    """Return the aperture function A(q): 1 inside the objective aperture's semi-angle, 0 outside.

    If the width w of the aperture's edge is above 0, A = clip((α₀ − α)/w + ½, 0, 1).
    """
    alpha = wavelength(optics.energy) * q * 1e3
    if optics.aperture_edge == 0:
        return (alpha <= optics.aperture).astype(float)
    return np.clip((optics.aperture - alpha) / optics.aperture_edge + 0.5, 0, 1)


def temporal_envelope(optics: Optics, q: np.ndarray) -> np.ndarray:
    """Return the temporal envelope E_t = exp[−(½πλΔq²)²] (Kirkland, 2nd ed., sec. 3.2).

    Δ is the 1/e width of the focal distribution.
    """
    lam = wavelength(optics.energy)
    return np.exp(-((np.pi / 2 * lam * optics.focal_spread * q**2) ** 2))


def spatial_envelope(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the spatial envelope E_s = exp[−(β/2)²|∇_α χ|²], as abTEM defines it.

    β is the angular spread of the illumination.
    """
    radial, azimuthal = aberration_gradient(optics, q, phi)
    return np.exp(-((optics.source_spread * 1e-3 / 2) ** 2) * (radial**2 + azimuthal**2))


def envelope(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the envelope E = A·E_t·E_s: the upper limit of the absolute value of the transfer."""
    return aperture(optics, q) * temporal_envelope(optics, q) * spatial_envelope(optics, q, phi)


def transfer(optics: Optics, q: np.ndarray, phi: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the linear phase-contrast transfer T_χ(q) = A·E_t·E_s·sin χ(q), between −1 and 1."""
    return envelope(optics, q, phi) * np.sin(aberration_phase(optics, q, phi))


def focal_series(optics: Optics, members: int) -> list[tuple[float, Optics]]:
    """Return a weighted focal series that replaces the temporal envelope.

    The members of the series have the defocus of the Gauss–Hermite nodes of the focal distribution
    exp(−δ²/Δ²)/(Δ√π). The weighted sum of the members' intensities is correct for linear and for
    non-linear image terms.

    Args:
        members: Number of members of the series. The weighted sum integrates polynomials of the
            defocus up to the degree 2·members − 1 exactly.

    Returns:
        The weight and the optics of each member. The weights add to 1, and the optics have no focal
        spread.
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
    """Return the largest displacement of image detail by aberrations within the aperture [Å].

    The displacement is called delocalisation: a wave component at the spatial frequency q is
    displaced by |∇χ|/2π (Coene & Jansen, *Scanning Microsc. Suppl.* 6, 379, 1992). For a round
    lens, this displacement is |Cs α³ − Δf α|. On a periodic field of side L, displacements beyond
    L/2 wrap around: then χ changes by more than π from one frequency to the next. If the lens is
    not round, the result is the largest displacement along 360 azimuths.
    """
    edge = (optics.aperture + optics.aperture_edge / 2) * 1e-3
    if optics.round:
        angles = [edge]
        if optics.cs and 0 < optics.defocus / (3 * optics.cs) < edge**2:
            angles.append(math.sqrt(optics.defocus / (3 * optics.cs)))
        return max(abs(optics.cs * a**3 - optics.defocus * a) for a in angles)
    lam = wavelength(optics.energy)
    q = np.linspace(0, edge / lam, 500)
    gradient = aberration_gradient(optics, q, azimuths(360)[:, None])
    return float(np.hypot(*gradient).max() * lam / (2 * np.pi))


def azimuths(number: int) -> np.ndarray:
    """Return evenly spaced azimuths over a whole turn [rad]; the first azimuth is half a step."""
    return (np.arange(number) + 0.5) * 2 * np.pi / number


def azimuths_needed(optics: Optics, q_max: float) -> int:
    """Return the number of azimuths that an integral of the product of two transfers needs.

    The integral is over spatial frequencies up to `q_max` [1/Å]. A round lens needs 1 azimuth. An
    aberration of n-fold symmetry has a phase a·cos nφ. It gives the product of two transfers
    angular harmonics up to about 2na, and higher harmonics decrease faster than exponentially
    (Jacobi–Anger). N evenly spaced azimuths integrate harmonics below N exactly.
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


@lru_cache(maxsize=256)
def members_needed(optics: Optics, q_max: float, tolerance: float = 0.01) -> int:
    """Return how many members of a focal series reproduce the temporal envelope up to `q_max`.

    `q_max` is in 1/Å. The members' sum for the linear image terms is Σ w cos(πλq²δ). It must differ
    from the temporal envelope E_t(q) by at most `tolerance`, at every q up to `q_max` within the
    aperture. The result 100 means 100 or more.
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


def plane(
    lenses: Sequence[Optics], cutoff: float, samples: int
) -> tuple[np.ndarray, np.ndarray | float, np.ndarray]:
    """Return the points at which integrals are sampled: |q| [1/Å], φ [rad] and d²q [1/Å²].

    The radii |q| are the midpoints of `samples` intervals between 0 and the cutoff. A round lens
    needs no azimuths φ.
    """
    q = (np.arange(samples) + 0.5) * cutoff / samples
    number = max(azimuths_needed(optics, cutoff) for optics in lenses)
    area = 2 * np.pi / number * q * cutoff / samples
    if number == 1:
        return q, 0.0, area
    q, phi = (axis.ravel() for axis in np.meshgrid(q, azimuths(number)))
    return q, phi, np.tile(area, number)
