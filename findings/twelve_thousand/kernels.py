"""The distances between two conditions that are compared on the twelve thousand networks.

Each kernel is one line of the comparisons. All serve the same Gaussian process, on both sides of
the matrix, with priors that mean the same: the median length of a parameter is its standard
deviation over the grid of studies/twelve-thousand.yaml. *Scaled* parameters are those of
passband.prediction.matrix.level_scores: defocus and Cs are phases at the edge of the aperture.
There, the unit is the standard deviation over a study's conditions; here, as committed before the
locked set, it is a rounded number of the same meaning.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from passband.analysis.profiles import Profiles
from passband.optics import ctf
from passband.prediction.covariance import Kernel, correlation, distances, mean_square

#: Wavelength at 300 kV [Å].
WAVELENGTH_A = ctf.wavelength(300e3)
#: Edges of the bands of spatial frequencies [1/Å]: the shape of a particle in two bands, what lies
#: below the lattice spacings of gold, {111}, {200}, and what is finer.
BANDS = (0.0, 0.1, 0.2, 0.38, 0.45, 0.55, np.inf)


def values(profiles: Profiles) -> dict[str, np.ndarray]:
    """Return the parameters of conditions, each (condition,): raw, scaled and in Scherzer units."""
    of = {name: profiles.parameters[name] for name in ("defocus_nm", "cs_um", "aperture_mrad")}
    defocus, cs = of["defocus_nm"] * 10, of["cs_um"] * 1e4  # [Å]
    angle = of["aperture_mrad"] * 1e-3
    return of | {
        "log_dose": profiles.log_dose,
        "defocus phase": np.pi * defocus * angle**2 / WAVELENGTH_A,
        "cs phase": np.pi * cs * angle**4 / (2 * WAVELENGTH_A),
        "defocus in Scherzer units": defocus / np.sqrt(cs * WAVELENGTH_A),
        "log cs": np.log10(of["cs_um"]),
    }


def _parameters(*names: str) -> Callable[[Profiles, Profiles], np.ndarray]:
    """Return a function that returns the squared differences of parameters, (names, a, b)."""

    def squared(a: Profiles, b: Profiles) -> np.ndarray:
        of_a, of_b = values(a), values(b)
        return np.stack([np.subtract.outer(of_a[name], of_b[name]) ** 2 for name in names])

    return squared


def four(a: Profiles, b: Profiles) -> np.ndarray:
    """Return the squared distances of the package up to version 0.3.0, (4, a, b).

    They are those of T(q), of the correlation without its sign, of bits, and of the dose.
    """
    power = a.power * a.area
    by_transfer = mean_square(a.T, b.T, power)
    by_correlation = mean_square(np.abs(correlation(a)), np.abs(correlation(b)), power)
    return np.stack([by_transfer, by_correlation, *distances(a, b)[1:]])


def transfer(a: Profiles, b: Profiles) -> np.ndarray:
    """Return the squared distances of T(q) and of the dose, (2, a, b)."""
    return four(a, b)[[0, 3]]


def bands(a: Profiles, b: Profiles) -> np.ndarray:
    """Return the squared distances of T(q) and of the correlation in each band, bits and dose.

    The sum over the bands of one curve is the squared distance of this curve in :func:`four`.
    """
    power = a.power * a.area
    weights = []
    for low, high in pairwise(BANDS):
        here = (a.frequency >= low) & (a.frequency < high)
        weights.append(np.where(here, power, 0.0))
    sides = (a.T, b.T), tuple(np.abs(correlation(each)) for each in (a, b))
    by_band = [
        mean_square(*curves, weight) * float(weight.sum() / power.sum())
        for curves in sides
        for weight in weights
    ]
    return np.stack([*by_band, *distances(a, b)[1:]])


_N = len(BANDS) - 1
_SCALED = ("defocus phase", "cs phase", "aperture_mrad", "log_dose")
_SCHERZER = ("defocus in Scherzer units", "log cs", "aperture_mrad", "log_dose")
_RAW = ("defocus_nm", "cs_um", "aperture_mrad", "log_dose")

#: The kernels by the names of the lines.
KERNELS: Mapping[str, Kernel] = {
    "doses": Kernel(("log_dose",), (0.5,), _parameters("log_dose")),
    "raw": Kernel(_RAW, (25.0, 190.0, 2.1, 0.5), _parameters(*_RAW)),
    "scaled": Kernel(_SCALED, (12.0, 11.0, 2.1, 0.5), _parameters(*_SCALED)),
    "Scherzer units": Kernel(_SCHERZER, (3.7, 1.0, 2.1, 0.5), _parameters(*_SCHERZER)),
    "T(q)": Kernel(("T", "log_dose"), (0.5, 1.0), transfer),
    "T(q), bits and dose": Kernel(
        ("T", "correlation", "bits", "log_dose"), (0.5, 0.5, 0.25, 1.0), four
    ),
    "T(q) in bands": Kernel(
        (
            *(f"T {k}" for k in range(_N)),
            *(f"correlation {k}" for k in range(_N)),
            "bits",
            "log_dose",
        ),
        (1.0,) * 2 * _N + (0.25, 1.0),
        bands,
    ),
}
