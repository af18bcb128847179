"""The lens of one or several images, measured from the Thon rings of their background."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.rings import azimuth_spectra, ctf_search, film, ring_fit
from passband.micrographs.rings.azimuth_spectra import Spectrum
from passband.micrographs.rings.ctf_search import Search
from passband.micrographs.rings.ring_fit import CONTRAST, CONTRAST_STD, Fit, Shared
from passband.micrographs.rings.ring_model import Smooth
from passband.optics import ctf

#: Rings are said to be visible from this gain of deviance on, in units of the dispersion.
#: docs/scripts/thon_rings.py measures how often noise reaches it.
VISIBLE = 40.0
#: Half-width of a 95% interval, in standard deviations.
WIDTH = 1.96
#: Solutions are possible if their gain is smaller by less than a fraction of the best gain, but at
#: least the first and at most the second number.
_POSSIBLE, _POSSIBLE_FRACTION = (12.0, 40.0), 0.2
#: The lowest frequency that is used: this number of rings, and at least this frequency [1/Å].
_LOWEST_RINGS, _LOWEST = 10, 0.06
#: The highest frequency that is used [1/Å], and as a fraction of the Nyquist frequency.
_HIGHEST, _OF_NYQUIST = 1.0, 0.9
#: Width of the surroundings whose mean is subtracted, times the lowest frequency.
_SMOOTHING = 0.5
#: The fall of an edge, in units of the largest of this many falls on both sides.
_ABRUPT, _NEARBY = 2.0, 12
#: What the frequencies above the limit may add to the information about the rings.
_INFORMATION = 4.0
#: Sectors of the first fits.
_COARSE_SECTORS = 6
#: Errors of the model, as a fraction of the gain by which two signs may differ for no reason.
_MODEL_ERROR = 0.002
#: Values of Cs by which a background is chosen if Cs is not known [Å].
_USUAL_CS = np.array([0.0, 1.2e7])
#: Cs is searched in this many images of a set.
_CS_IMAGES = 4


@dataclass(frozen=True)
class Settings:
    """What is known about the microscope.

    Attributes:
        energy_eV: Beam energy [eV].
        cs_A: Spherical aberration [Å]; None: it is fitted, one value for all images.
        contrast: Amplitude contrast; None: a usual value is assumed, and its error is part of the
            intervals.
        sign: 1: every image is underfocused, −1: every image is overfocused, 0: not known.
        aperture_mrad: Semi-angle of the objective aperture [mrad], beyond which there are no rings.
        most_A: Largest absolute value of the defocus [Å].
    """

    energy_eV: float
    cs_A: float | None = None
    contrast: float | None = None
    sign: int = 0
    aperture_mrad: float | None = None
    most_A: float = 3e4

    def shared(self, cs_A: float, fits_cs: bool = False) -> Shared:
        """Return what the images share."""
        if self.contrast is not None:
            return Shared(self.energy_eV, cs_A, fits_cs, self.contrast, 0.0)
        return Shared(self.energy_eV, cs_A, fits_cs, CONTRAST, CONTRAST_STD)


@dataclass(frozen=True)
class Image:
    """An image whose rings are fitted.

    Attributes:
        weights: (height, width), the background.
        found_by: How the background was found, see
            :func:`passband.micrographs.rings.film.backgrounds`.
        low, high: The range of frequencies that is fitted [1/Å].
        search: The search of the radial spectrum, for a known Cs or for two usual ones.
    """

    spectrum: Spectrum
    weights: np.ndarray
    found_by: str
    low: float
    high: float
    search: Search
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Solution:
    """One possible lens of an image.

    Attributes:
        defocus_A, astigmatism_A, azimuth: Defocus, C12 [Å] and φ12 [rad].
        stds: (3,), standard deviations of these three values.
        gain: By how much rings lower the deviance, in units of the dispersion.
        fit: The fit; the image is the first one.
    """

    defocus_A: float
    astigmatism_A: float
    azimuth: float
    stds: np.ndarray
    gain: float
    fit: Fit


@dataclass(frozen=True)
class Measurement:
    """The lens of an image.

    Attributes:
        solutions: Possible lenses, the likeliest first. Empty if no rings are visible.
        gain: The gain of the best solution, also if no rings are visible.
        cs_A, cs_std_A: Spherical aberration, and its standard deviation, 0 if it was known [Å].
        likelihoods: The likelihood of each sign of the defocus, 1 for underfocus; they add to 1.
    """

    image: Image
    solutions: list[Solution]
    gain: float
    cs_A: float
    cs_std_A: float
    likelihoods: dict[int, float]

    @property
    def is_visible(self) -> bool:
        """Whether rings are visible."""
        return bool(self.solutions)

    def of_sign(self, sign: int) -> list[Solution]:
        """Return the solutions with a sign of the defocus, 1 for underfocus."""
        return [s for s in self.solutions if np.sign(s.defocus_A) == sign]

    def defocus_A(self, sign: int | None = None) -> tuple[float, float, float]:
        """Return the defocus and its 95% interval [Å], for the likeliest or a given sign.

        The interval includes other possible solutions of the same sign.
        """
        sign = int(np.sign(self.solutions[0].defocus_A)) if sign is None else sign
        own = self.of_sign(sign)
        ends = [
            s.defocus_A + side * WIDTH * s.stds[0]
            for s in own
            for side in (-1, 1)
            if own[0].gain - s.gain < _margin(own[0].gain)
        ]
        return own[0].defocus_A, min(ends), max(ends)


def _margin(gain: float) -> float:
    """Return by how much the gain of a possible solution may be below the best gain."""
    return float(np.clip(_POSSIBLE_FRACTION * gain, *_POSSIBLE))


def prepare(image: np.ndarray, pixel_size_A: float, settings: Settings) -> Image:
    """Return an image with its background, its spectrum and the search of its rings.

    Raises:
        PassbandError: If most of the image shows no specimen, or if the image or its background is
            too small.
    """
    excluded, notes = film.artificial(image)
    low = max(
        _LOWEST, _LOWEST_RINGS / (min(*image.shape, azimuth_spectra.LARGEST_TILE) * pixel_size_A)
    )
    high = min(_HIGHEST, _OF_NYQUIST / (2 * pixel_size_A))
    if settings.aperture_mrad is not None:
        lam = ctf.wavelength(settings.energy_eV)
        high = min(high, 0.98 * settings.aperture_mrad * 1e-3 / lam)
    if high < 2 * low:
        raise PassbandError(
            f"{min(image.shape)} pixels of {pixel_size_A:g} Å: the spectrum has too few "
            "frequencies for rings; a larger image or a wider aperture is needed"
        )
    best = None
    for found_by, weights in film.backgrounds(image, pixel_size_A, excluded).items():
        try:
            spectrum = azimuth_spectra.spectrum(image, pixel_size_A, weights, _SMOOTHING / low)
        except PassbandError:
            if best is None:  # the whole background comes first, and the others are parts of it
                raise
            continue
        end = _edge(spectrum, low, high)
        cs = _USUAL_CS if settings.cs_A is None else np.array([settings.cs_A])
        searched = _searched(spectrum, low, end, settings, cs)
        made = Image(spectrum, weights, found_by, low, end, searched, notes)
        gain = searched.without - searched.deviance.min()
        if best is None or gain > 1.2 * best[0]:
            best = gain, made
    return best[1]


def _searched(
    spectrum: Spectrum, low: float, high: float, settings: Settings, cs: np.ndarray
) -> Search:
    limits = high, spectrum.step, settings.most_A
    defocus = ctf_search.defoci(settings.energy_eV, *limits, settings.sign)
    return ctf_search.search(spectrum, low, high, settings.shared(0.0), defocus, cs)


def _edge(spectrum: Spectrum, low: float, high: float) -> float:
    """Return the highest frequency before an abrupt fall of the power: the edge of an aperture.

    Without such a fall, `high` is returned. The power falls abruptly if its logarithm falls over
    two rings by more than over any two rings in the surroundings, several times.
    """
    radial = spectrum.within(low, high).merged()
    logs, n = np.log(radial.power), radial.number
    falls = np.maximum(0, logs[:-2] - logs[2:])
    errors = np.sqrt(1 / n[:-2] + 1 / n[2:])
    best = (_ABRUPT, high)
    for k in range(4, len(falls) - 4):
        nearby = np.r_[falls[max(0, k - _NEARBY) : k - 2], falls[k + 3 : k + 3 + _NEARBY]]
        fall = falls[max(0, k - 1) : k + 2].max()
        if falls[k] == fall and fall > 5 * errors[k]:
            ratio = fall / (nearby.max() + errors[k])
            if ratio > best[0]:
                best = ratio, float(radial.q[k])
    return best[1]


def measure(images: Sequence[Image], settings: Settings) -> list[Measurement]:
    """Return the lens of each image; all share one Cs.

    Args:
        images: Images of one microscope, with the same pixel size and beam energy.
    """
    cs = settings.cs_A
    if cs is None:
        cs = _common_cs(images, settings)
    found = [_solutions(image, settings, cs) for image in images]
    cs_std = 0.0
    if settings.cs_A is None:
        cs, cs_std, found = _with_cs(images, settings, cs, found)
    results = []
    for image, solutions in zip(images, found, strict=True):
        gain, fit = solutions[0].gain, solutions[0].fit
        is_visible = gain > VISIBLE
        if is_visible:  # a ring of a lattice must explain the spectrum less well
            over_lattice = fit.models[0].lattice() - float(fit.deviances[0])
            is_visible = over_lattice / fit.dispersions[0] > VISIBLE / 2
        kept = [s for s in solutions if s.gain > VISIBLE / 2] if is_visible else []
        results.append(Measurement(image, kept, gain, cs, cs_std, _likelihoods(kept)))
    return results


def _common_cs(images: Sequence[Image], settings: Settings) -> float:
    """Return the Cs on a grid with the lowest deviance in the images with the clearest rings."""
    clearest = sorted(images, key=lambda i: i.search.deviance.min() - i.search.without)
    clearest = clearest[:_CS_IMAGES]
    grid = ctf_search.cs_grid(settings.energy_eV, min(i.high for i in clearest))
    total = 0.0
    for image in clearest:
        found = _searched(image.spectrum, image.low, image.high, settings, grid)
        # Deviances of all images count alike, whatever their numbers of coefficients.
        total = total + found.deviance.min(1) / found.deviance.min()
    return float(grid[np.argmin(total)])


def _solutions(image: Image, settings: Settings, cs: float) -> list[Solution]:
    """Return the possible lenses of an image at a given Cs, the best first."""
    shared = settings.shared(cs)
    search = image.search
    if cs not in search.cs:
        search = _searched(image.spectrum, image.low, image.high, settings, np.array([cs]))
    row = int(np.abs(search.cs - cs).argmin())
    defocus = search.defocus
    best = [
        np.array([defocus[k], 0.0, 0.0])
        for sign in (1, -1)
        for k in [k for k in ctf_search.minima(search.deviance[row]) if defocus[k] * sign > 0][:3]
    ]
    # Fewer sectors and few steps show which starts are worth a fit of all cells.
    coarse = image.spectrum.merged(_COARSE_SECTORS)
    model = Smooth.of(coarse, image.low, image.high)
    tried = [ring_fit.fit([model], shared, start[None], steps=12) for start in best]
    limit = _limit(min(tried, key=lambda f: f.deviance), image)
    limits = limit, image.spectrum.step, float(np.abs(defocus).max())
    defocus = ctf_search.defoci(settings.energy_eV, *limits, settings.sign)
    starts = [f.own for f in tried]
    starts += ctf_search.astigmatic(image.spectrum, image.low, limit, shared, defocus)
    model = Smooth.of(coarse, image.low, limit)
    tried = [ring_fit.fit([model], shared, start, steps=12) for start in starts]
    tried.sort(key=lambda f: f.deviance)
    chosen = tried[:3]
    for sign in (1, -1):
        chosen += [f for f in tried if f.own[0, 0] * sign > 0 and f not in chosen][:1]
    model = Smooth.of(image.spectrum, image.low, limit)
    fits = [ring_fit.fit([model], shared, f.own) for f in chosen]
    # Without Cs, the opposite lens has the same rings; with a small Cs, similar ones.
    best = min(fits, key=lambda f: f.deviance)
    fits.append(ring_fit.fit([model], shared, -best.own, best.coefficients))
    return _ordered(model, fits, settings)


def _limit(fit: Fit, image: Image) -> float:
    """Return the frequency above which the rings of a fit hold hardly any information.

    Frequencies above it could only spoil the fit, for example by rings of a lattice.
    """
    model = fit.models[0]
    smooth, envelope = model.smooth_and_envelope(fit.coefficients[0])
    depth = envelope / (2 * smooth + envelope)
    order = np.argsort(-model.spectrum.q)
    above = np.cumsum((model.spectrum.number * depth**2 / 2)[order])
    # Where rings are hardly there, all frequencies together hold less than that.
    last = min(np.searchsorted(above, _INFORMATION), len(order) - 1)
    limit = model.spectrum.q[order][last]
    return float(np.clip(limit + 4 * image.spectrum.step, 2.5 * image.low, image.high))


def _ordered(model: Smooth, fits: Sequence[Fit], settings: Settings) -> list[Solution]:
    """Return different solutions of an image, the best first."""
    without = model.fit(np.full((1, len(model.spectrum.q)), 0.5), 12)[0][0]
    best = min(fits, key=lambda f: f.deviances[0])
    scale = best.dispersions[0]
    found: list[Solution] = []
    for each in sorted(fits, key=lambda f: f.deviances[0]):
        own, covariance = each.own[0], each.own_covariance[0]
        if settings.sign and np.sign(own[0]) != settings.sign:
            continue
        if any(abs(own[0] - s.defocus_A) < 10 + 0.01 * abs(own[0]) for s in found):
            continue
        length = float(np.hypot(own[1], own[2]))
        turn = float(np.arctan2(own[2], own[1]))
        along = np.array([np.cos(turn), np.sin(turn)])
        across = np.array([-along[1], along[0]])
        part = covariance[1:, 1:]
        stds = np.sqrt([covariance[0, 0], along @ part @ along, across @ part @ across])
        stds[2] = min(stds[2] / max(2 * length, 1e-9), np.pi / 4)
        gain = float(without - each.deviances[0]) / scale
        found.append(Solution(float(own[0]), length, turn / 2 % np.pi, stds, gain, each))
    without_rings = Solution(float(best.own[0, 0]), 0.0, 0.0, np.zeros(3), 0.0, best)
    return found or [without_rings]


def _with_cs(
    images: Sequence[Image], settings: Settings, cs: float, found: list[list[Solution]]
) -> tuple[float, float, list[list[Solution]]]:
    """Return Cs, its standard deviation, and the solutions at it, after a fit of all images."""
    visible = [k for k, each in enumerate(found) if each[0].gain > VISIBLE]
    if not visible:
        return cs, np.inf, found
    models = [found[k][0].fit.models[0] for k in visible]
    best = None
    for start in dict.fromkeys((cs, max(0.0, cs - 3e6), cs + 3e6)):
        shared = settings.shared(start, fits_cs=True)
        joint = ring_fit.fit(
            models,
            shared,
            [found[k][0].fit.own[0] for k in visible],
            [found[k][0].fit.coefficients[0] for k in visible],
        )
        if best is None or joint.deviance < best.deviance:
            best = joint
    cs, cs_std = max(0.0, best.shared.cs), best.cs_std
    again = []
    for k in range(len(images)):
        near = [s.fit for s in found[k]]
        shared = settings.shared(cs)
        fits = [ring_fit.fit(f.models, shared, f.own, f.coefficients) for f in near]
        if k in visible:
            own = best.own[visible.index(k)]
            fits.append(ring_fit.fit(near[0].models, shared, own[None]))
        again.append(_ordered(near[0].models[0], fits, settings))
    # The error of Cs is part of the error of each image's defocus.
    for where, k in enumerate(visible):
        covariance = best.own_covariance[where]
        again[k] = [
            replace(s, stds=np.array([max(s.stds[0], np.sqrt(covariance[0, 0])), *s.stds[1:]]))
            for s in again[k]
        ]
    return cs, cs_std, again


def _likelihoods(solutions: Sequence[Solution]) -> dict[int, float]:
    """Return the likelihood of each sign of the defocus, from the best solution of each.

    Amplitude contrast distinguishes the signs too, but it is hardly known. So each sign may also
    have no amplitude contrast, at the price that its standard deviation sets. Small errors of the
    model add to the difference of two large gains, and so the difference is divided by a number
    that increases with the gain.
    """
    best: dict[int, float] = {}
    for each in solutions:
        sign, fit = int(np.sign(each.defocus_A)), each.fit
        if sign in best:
            continue
        best[sign] = each.gain
        if std := fit.shared.contrast_std:
            without = replace(fit.shared, contrast=0.0)
            other = ring_fit.fit(fit.models, without, fit.own[:1], fit.coefficients[:1])
            better = float(fit.deviances[0] - other.deviances[0]) / fit.dispersions[0]
            best[sign] = max(each.gain, each.gain + better - (fit.shared.contrast / std) ** 2)
    if not best:
        return {1: 0.5, -1: 0.5}
    top = max(best.values())
    scale = 2 * (1 + _MODEL_ERROR * max(0.0, top))
    weights = {sign: float(np.exp((best.get(sign, -np.inf) - top) / scale)) for sign in (1, -1)}
    return {sign: weight / sum(weights.values()) for sign, weight in weights.items()}
