"""Least squares for the lens of one or several images, by Fisher's scoring.

All images share Cs and amplitude contrast. Every image has its own defocus and two-fold
astigmatism, and its own smooth parts, see :mod:`passband.micrographs.rings.ring_model`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from passband.micrographs.rings.ring_model import Smooth
from passband.optics import ctf

#: Units of the equations, for defocus and astigmatism, and for Cs [Å], and the largest step in
#: these units.
_UNIT_OWN, _UNIT_CS = 10.0, 1e5
_STRIDE = 10.0
#: Standard deviation of either part of the astigmatism before an image is seen: this length [Å],
#: plus a fraction of the defocus.
_ASTIGMATISM_A, _ASTIGMATISM_FRACTION = 200.0, 0.1
#: Amplitude contrast that is assumed if the user gives none, and its standard deviation, which is
#: part of the intervals. The value is the usual one for carbon films in programs such as CTFFIND.
CONTRAST, CONTRAST_STD = 0.1, 0.06
#: A band of neighbouring rings, for the correlation of residuals.
_BAND = 4


@dataclass(frozen=True)
class Shared:
    """What the images of one fit share.

    Attributes:
        energy: Beam energy [eV].
        cs: Spherical aberration [Å].
        fits_cs: Whether Cs is fitted; otherwise it is fixed.
        contrast, contrast_std: Amplitude contrast w, and its standard deviation. The fit keeps w;
            the standard deviation only widens the errors.
    """

    energy: float
    cs: float = 0.0
    fits_cs: bool = False
    contrast: float = CONTRAST
    contrast_std: float = CONTRAST_STD

    @property
    def phase(self) -> float:
        """The phase arcsin w that the amplitude contrast adds [rad]."""
        return float(np.arcsin(self.contrast))


@dataclass(eq=False)
class Fit:
    """The state of a fit, and its result.

    Attributes:
        models: The smooth parts of each image.
        shared: What the images share.
        own: (images, 3), defocus, and C12·cos 2φ12 and C12·sin 2φ12, of each image [Å].
        coefficients: The coefficients of the smooth parts of each image.
        deviances: (images,), the deviance of each image, with its penalties.
        own_covariance: (images, 3, 3), covariance of each image's own values [Å²].
        cs_std: Standard deviation of Cs [Å]; 0 if Cs is fixed.
        dispersions: (images,), mean squared residual of each image: 1 if the model and the numbers
            of independent coefficients are right.
    """

    models: Sequence[Smooth]
    shared: Shared
    own: np.ndarray
    coefficients: list[np.ndarray]
    deviances: np.ndarray = field(default_factory=lambda: np.zeros(0))
    own_covariance: np.ndarray = field(default_factory=lambda: np.zeros(0))
    cs_std: float = 0.0
    dispersions: np.ndarray = field(default_factory=lambda: np.ones(0))

    @property
    def deviance(self) -> float:
        """The sum of the images' deviances."""
        return float(self.deviances.sum())


def phase_terms(energy: float, q: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Return χ for 1 Å of defocus, Cs, C12·cos 2φ12 and C12·sin 2φ12: (4, cells) array [rad]."""
    return ctf.basis(energy, q, azimuth)[0, :4]


def rings(terms: np.ndarray, own: np.ndarray, shared: Shared) -> np.ndarray:
    """Return sin²(χ − arcsin w) in the cells, for own values (..., 3)."""
    chi = own @ terms[[0, 2, 3]] + shared.cs * terms[1]
    return np.sin(chi - shared.phase) ** 2


def fit(
    models: Sequence[Smooth],
    shared: Shared,
    own: np.ndarray,
    coefficients: Sequence[np.ndarray] | None = None,
    steps: int = 60,
) -> Fit:
    """Return the fit that starts at given values.

    Args:
        models: The smooth parts of each image.
        shared: What the images share, with the starting value of Cs.
        own: (images, 3), starting values of each image's own defocus and astigmatism [Å].
        coefficients: Starting values of the coefficients of the smooth parts.
        steps: Largest number of steps.
    """
    own = np.array(own, float).reshape(-1, 3)
    terms = [phase_terms(shared.energy, m.spectrum.q, m.spectrum.azimuth) for m in models]
    if coefficients is None:
        coefficients = [
            model.fit(rings(its_terms, mine, shared)[None], 12)[1][0]
            for model, its_terms, mine in zip(models, terms, own, strict=True)
        ]
    state = Fit(models, shared, own, list(coefficients))
    state.deviances = _deviances(state, terms)
    damping = 1e-3
    for _ in range(steps):
        equations = [_equations(state, its_terms, k) for k, its_terms in enumerate(terms)]
        while True:
            new = _stepped(state, equations, damping)
            new.deviances = _deviances(new, terms)
            gain = state.deviance - new.deviance
            if gain >= 0 or damping > 1e6:
                break
            damping = max(damping, 1e-4) * 10
        if gain >= 0:
            state = new
        damping /= 10
        if gain < 1e-3:
            break
    _add_errors(state, terms)
    return state


def _prior(own: np.ndarray) -> np.ndarray:
    """Return the inverse variances (3,) of an image's own values before the image is seen."""
    width = _ASTIGMATISM_A + _ASTIGMATISM_FRACTION * abs(own[0])
    return np.array([0.0, 1 / width**2, 1 / width**2])


def _deviances(state: Fit, terms: Sequence[np.ndarray]) -> np.ndarray:
    found = []
    for model, its_terms, own, c in zip(
        state.models, terms, state.own, state.coefficients, strict=True
    ):
        smooth, envelope = model.smooth_and_envelope(c)
        misfit = model.deviance(c, smooth + envelope * rings(its_terms, own, state.shared))
        found.append(float(misfit) + float((_prior(own) * own**2).sum()))
    return np.array(found)


def _slopes(state: Fit, terms: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """Return residuals (cells,), and slopes of ln P: by own parameters, by Cs, by the phase."""
    model, own, shared = state.models[k], state.own[k], state.shared
    smooth, envelope = model.smooth_and_envelope(state.coefficients[k])
    angle = own @ terms[[0, 2, 3]] + shared.cs * terms[1] - shared.phase
    expected = smooth + envelope * np.sin(angle) ** 2
    steep = envelope * np.sin(2 * angle) / expected
    mine = np.concatenate(
        [
            (smooth / expected)[:, None] * model.noise,
            (1 - smooth / expected)[:, None] * model.envelope,
            (steep * terms[[0, 2, 3]]).T * _UNIT_OWN,
        ],
        1,
    )
    return model.spectrum.power / expected - 1, mine, steep * terms[1] * _UNIT_CS, -steep


def _equations(state: Fit, terms: np.ndarray, k: int) -> tuple:
    """Return one image's part of the normal equations.

    The result is the curvature by own parameters, mixed with Cs, and by Cs, and both gradients.
    """
    model, own = state.models[k], state.own[k]
    residual, mine, by_cs, _ = _slopes(state, terms, k)
    n = model.spectrum.number
    size = len(model.penalty)
    weighted = mine * n[:, None]
    curvature, gradient = mine.T @ weighted, weighted.T @ residual
    curvature[:size, :size] += model.penalty
    gradient[:size] -= model.penalty @ (state.coefficients[k] - model.centre)
    weights = _prior(own) * _UNIT_OWN
    curvature[range(size, size + 3), range(size, size + 3)] += weights * _UNIT_OWN
    gradient[size:] -= weights * own
    return curvature, weighted.T @ by_cs, by_cs @ (n * by_cs), gradient, by_cs @ (n * residual)


def _stepped(state: Fit, equations: Sequence[tuple], damping: float) -> Fit:
    """Return the state after a step. The images are eliminated, then Cs is solved."""
    total, right, solved = 0.0, 0.0, []
    for curvature, mixed, of_cs, gradient, gradient_cs in equations:
        damped = curvature + np.diag(np.diag(curvature) * damping + 1e-12)
        both = np.linalg.solve(damped, np.stack([mixed, gradient], 1))
        solved.append(both)
        total += of_cs * (1 + damping) - mixed @ both[:, 0]
        right += gradient_cs - mixed @ both[:, 1]
    move = np.clip(right / total, -_STRIDE, _STRIDE) if state.shared.fits_cs else 0.0
    own, coefficients = state.own.copy(), []
    for k, both in enumerate(solved):
        step = both[:, 1] - both[:, 0] * move
        own[k] += np.clip(step[-3:], -_STRIDE, _STRIDE) * _UNIT_OWN
        coefficients.append(state.coefficients[k] + np.clip(step[:-3], -2, 2))
    shared = replace(state.shared, cs=state.shared.cs + float(move) * _UNIT_CS)
    return Fit(state.models, shared, own, coefficients)


def _add_errors(state: Fit, terms: Sequence[np.ndarray]) -> None:
    """Add covariances to a state: White's estimate, with residuals that correlate in bands.

    White (*Econometrica* 50, 1, 1982) allows for a model that is not quite right. Neighbouring
    rings are summed first, since misfits of N and E extend over several rings. If the likelihood's
    own covariance is larger, it is used. The error of the amplitude contrast is added.
    """
    pieces, total, of_bands, of_images, by_phase = [], 0.0, 0.0, 0.0, 0.0
    state.dispersions = np.ones(len(terms))
    for k, its_terms in enumerate(terms):
        curvature, mixed, of_cs, *_ = _equations(state, its_terms, k)
        residual, mine, by_cs, by_w = _slopes(state, its_terms, k)
        n, spectrum = state.models[k].spectrum.number, state.models[k].spectrum
        band = (np.rint(spectrum.q / spectrum.step) // _BAND).astype(int)
        solved = np.linalg.solve(curvature, np.c_[mixed, mine.T @ (n * by_w)])
        score = np.c_[mine, by_cs - mine @ solved[:, 0]] * (n * residual)[:, None]
        summed = np.stack([np.bincount(band - band.min(), column) for column in score.T], 1)
        cells = len(residual) - len(curvature)
        state.dispersions[k] = float((n * residual**2).sum()) / max(cells, 1)
        total += of_cs - mixed @ solved[:, 0]
        of_bands += float((summed[:, -1] ** 2).sum())
        of_images += float(summed[:, -1].sum() ** 2)
        by_phase += (by_cs - mine @ solved[:, 0]) @ (n * by_w)
        pieces.append((curvature, solved, summed[:, :-1]))
    variance = 0.0
    phase_std = state.shared.contrast_std / np.cos(state.shared.phase)
    cs_by_phase = 0.0
    if state.shared.fits_cs:
        scatter = max(of_bands, of_images if len(terms) > 4 else 0.0) / total
        variance = max(scatter, float(state.dispersions.mean())) / total
        cs_by_phase = -by_phase / total
    covariances = []
    for k, (curvature, solved, summed) in enumerate(pieces):
        alone = np.linalg.inv(curvature)
        white = (alone @ (summed.T @ summed) @ alone)[-3:, -3:]
        plain = state.dispersions[k] * alone[-3:, -3:]
        of_cs = solved[-3:, 0]
        of_phase = -solved[-3:, 1] - of_cs * cs_by_phase
        covariances.append(
            plain * max(1.0, white[0, 0] / plain[0, 0])
            + np.outer(of_cs, of_cs) * variance
            + np.outer(of_phase, of_phase) * phase_std**2
        )
    state.own_covariance = np.stack(covariances) * _UNIT_OWN**2
    state.cs_std = float(np.sqrt(variance + (cs_by_phase * phase_std) ** 2)) * _UNIT_CS
