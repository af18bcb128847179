"""An exhaustive search for defocus, Cs and astigmatism in the rings of one spectrum.

All values on a grid are tried, with the smooth parts of the model fitted to each. The best ones are
where least squares start, see :mod:`passband.micrographs.rings.ring_fit`.
"""

from dataclasses import dataclass

import numpy as np

from passband.micrographs.rings import ring_fit
from passband.micrographs.rings.azimuth_spectra import Spectrum
from passband.micrographs.rings.ring_fit import Shared
from passband.micrographs.rings.ring_model import Smooth
from passband.optics import ctf

#: Sectors of the search for astigmatism.
_SECTORS = 6
#: Step of the defocus: the largest change of χ within the range of frequencies [rad].
_PHASE_STEP = 0.9
#: Step of Cs, as the change of χ at the highest frequency [rad]. A change of defocus makes up for
#: most of it.
_CS_STEP = 5.0
#: Smallest and largest step of Cs [Å].
_LEAST_CS_STEP, _MOST_CS_STEP = 2e6, 4e6
#: Largest Cs that is tried [Å].
MOST_CS = 3.5e7
#: Number of values of the defocus that are fitted at once.
_AT_ONCE = 64
#: With more rings than this, two are merged into one.
_MANY_RINGS = 100
#: Knots of the splines in the search for astigmatism, relative to the usual ones.
_COARSER = 1.7
#: Number of the best values that are kept.
_KEPT = 4


@dataclass(frozen=True)
class Search:
    """The deviance of a radial spectrum on a grid.

    Attributes:
        defocus: (n,), values of the defocus, in even steps [Å].
        cs: (m,), values of Cs [Å].
        deviance: (m, n), the deviance of the best smooth parts.
        without: The deviance without rings, with the same freedom of the smooth parts.
    """

    defocus: np.ndarray
    cs: np.ndarray
    deviance: np.ndarray
    without: float


def defoci(energy: float, high: float, step: float, most: float, sign: int = 0) -> np.ndarray:
    """Return the values of the defocus that are tried [Å].

    Args:
        high: The highest frequency with rings [1/Å].
        step: Width of a ring of the spectrum [1/Å], which limits the defocus: the rings of the
            image must be at least four such widths apart at half of `high`.
        most: Largest absolute value of the defocus [Å], if the rings allow it.
        sign: The sign of all values; 0 for both signs.
    """
    lam = ctf.wavelength(energy)
    most = min(most, 1 / (2 * lam * (high / 2) * 4 * step))
    spacing = _PHASE_STEP / (np.pi * lam * high**2)
    number = int(np.ceil(most / spacing))
    values = (np.arange(-number, number) + 0.5) * spacing
    return values[np.sign(values) == sign] if sign else values


def cs_grid(energy: float, high: float) -> np.ndarray:
    """Return the values of Cs that are tried [Å], for rings up to a frequency [1/Å]."""
    step = _CS_STEP / (np.pi / 2 * ctf.wavelength(energy) ** 3 * high**4)
    return np.arange(0, MOST_CS, np.clip(step, _LEAST_CS_STEP, _MOST_CS_STEP))


def search(
    spectrum: Spectrum, low: float, high: float, shared: Shared, defocus: np.ndarray, cs: np.ndarray
) -> Search:
    """Return the deviance of the radial spectrum on the grid of defocus and Cs."""
    model = Smooth.of(spectrum.merged(1, _rings(spectrum, low, high)), low, high, True)
    without = float(model.fit(np.full((1, len(model.spectrum.q)), 0.5))[0][0])
    return Search(defocus, cs, _table(model, shared, defocus, cs), without)


def _rings(spectrum: Spectrum, low: float, high: float) -> int:
    """Return how many rings are merged into one: two where there are more than 100."""
    return 2 if (high - low) / spectrum.step > _MANY_RINGS else 1


def _table(model: Smooth, shared: Shared, defocus: np.ndarray, cs: np.ndarray) -> np.ndarray:
    terms = ring_fit.phase_terms(shared.energy, model.spectrum.q, np.zeros(len(model.spectrum.q)))
    rows = []
    for each in cs:
        row = []
        for first in range(0, len(defocus), _AT_ONCE):
            angle = defocus[first : first + _AT_ONCE, None] * terms[0] + each * terms[1]
            row.append(model.fit(np.sin(angle - shared.phase) ** 2, 6)[0])
        rows.append(np.concatenate(row))
    return np.array(rows)


def astigmatic(
    spectrum: Spectrum, low: float, high: float, shared: Shared, defocus: np.ndarray
) -> list[np.ndarray]:
    """Return starting values of defocus and astigmatism (3,) [Å], best first, at one Cs.

    Each sector has a table of deviances by defocus. Astigmatism shifts the sectors' defoci by
    C12·cos 2(φ − φ12), so that all its values are tried by shifts of the tables.
    """
    cells = spectrum.merged(_SECTORS, _rings(spectrum, low, high))
    middles = np.unique(cells.azimuth)
    tables = np.stack(
        [
            _table(
                Smooth.of(cells.sector(a), low, high, True, _COARSER), shared, defocus, [shared.cs]
            )[0]
            for a in middles
        ]
    )
    number, spacing = len(defocus), defocus[1] - defocus[0]
    lengths = np.arange(0, max(4, number // 8))
    found = []
    for length in lengths:
        for azimuth in np.arange(_SECTORS if length else 1) * np.pi / _SECTORS:
            shifts = np.rint(-length * np.cos(2 * (middles - azimuth))).astype(int)
            places = np.arange(number) + shifts[:, None]
            inside = ((places >= 0) & (places < number)).all(0)
            total = np.take_along_axis(tables, np.clip(places, 0, number - 1), 1).sum(0)
            total[~inside] = np.inf
            for k in minima(total)[:_KEPT]:
                turn = 2 * azimuth
                own = [defocus[k], length * spacing * np.cos(turn), length * spacing * np.sin(turn)]
                found.append((total[k], np.array(own)))
    found.sort(key=lambda pair: pair[0])
    chosen: list[np.ndarray] = []
    for _, own in found[: 20 * _KEPT]:
        if all(np.abs(own - other).max() > 2.5 * spacing for other in chosen):
            chosen.append(own)
    return chosen[:_KEPT]


def minima(values: np.ndarray) -> np.ndarray:
    """Return the indices of the local minima of values (n,), the smallest value first."""
    padded = np.concatenate([[np.inf], values, [np.inf]])
    inner = padded[1:-1]
    with np.errstate(invalid="ignore"):
        places = np.flatnonzero(np.isfinite(inner) & (inner <= padded[:-2]) & (inner <= padded[2:]))
    return places[np.argsort(values[places])]
