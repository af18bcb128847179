"""The distances between two conditions that the lines differ in: A, the lens, and B, the image.

What a line sees of a condition are named vectors; the squared distance of two conditions is that of
their vectors. All lines serve the same process, whose priors follow from the known training
conditions, see :func:`kernel`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from findings.second_lock import networks
from findings.twelve_thousand import afterwards
from findings.twelve_thousand.afterwards import IMAGES
from passband.analysis.profiles import SAMPLES, Profiles, profiles
from passband.analysis.spectra import Curve
from passband.config import Microscope, Study
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split
from passband.optics import ctf
from passband.prediction import gaussian_process
from passband.prediction.covariance import Kernel

#: Named vectors of conditions, each (condition, size).
Vectors = Mapping[str, np.ndarray]

#: Frequencies, up to this limit [1/Å], and azimuths of the lens.
BINS = 64
LIMIT = 1.0
AZIMUTHS = 16


def lens(conditions: Sequence[Condition], microscope: Microscope, power: Curve) -> Vectors:
    """Return what A and the line T(q) see of conditions: ``T``, ``c`` and ``bits``.

    The squared distance of two vectors is the mean of the squared difference over 64 frequencies
    and 16 azimuths, with the weight q·P for T and c, and q for bits.

    Args:
        power: Frequencies [1/Å], and the power spectral density P of the specimen there [Å²].
    """
    q = (np.arange(BINS) + 0.5) * LIMIT / BINS
    P = np.interp(q, *power)
    phi = np.arange(AZIMUTHS)[:, None] * 2 * np.pi / AZIMUTHS
    blurs = microscope.responses(conditions, q)
    found: dict[str, list[np.ndarray]] = {"T": [], "c": [], "bits": []}
    weights = {"T": q * P, "c": q * P, "bits": q}
    roots = {name: np.sqrt(w / w.sum() / AZIMUTHS) for name, w in weights.items()}
    for condition in conditions:
        T = ctf.transfer(microscope.optics(condition), q, phi) * blurs[condition.further]
        T = np.broadcast_to(T, (AZIMUTHS, BINS))
        s = 4 * condition.dose_e_per_A2 * P * T**2
        curves = {"T": T, "c": np.sign(T) * np.sqrt(s / (1 + s)), "bits": np.log2(1 + s) / 2}
        for name, curve in curves.items():
            found[name].append((curve * roots[name]).ravel())
    return {name: np.stack(each) for name, each in found.items()}


def spectra(
    acquisition: Acquisition,
    structures: Split,
    conditions: Sequence[Condition],
    numbers: Sequence[int] = (IMAGES,),
) -> dict[int, np.ndarray]:
    """Return what B sees of conditions, by the number of images, each (condition, ring).

    A ring is the decimal logarithm of the mean power of the first images there, over √32: so the
    squared distance of two spectra is a mean over rings.
    """
    found: dict[int, list[np.ndarray]] = {number: [] for number in numbers}
    split = structures.first(max(numbers))
    for condition in conditions:
        images = acquisition.images(split, condition)[:, 0].numpy()
        for number in numbers:
            found[number].append(afterwards.spectrum(images[:number]))
    return {number: np.stack(of) / np.sqrt(afterwards.RINGS) for number, of in found.items()}


def seen(study: Study, folder: Path, split: str) -> Split:
    """Return the structures whose images B sees: the first 16 of a split."""
    return networks.split(study, folder, split, range(IMAGES))


def acquisition(study: Study) -> Acquisition:
    """Return what forms z-scored images as they come."""
    return Acquisition.from_microscope(study.microscope, "zscore", networks.CPU)


def profiles_of(
    conditions: Sequence[Condition],
    microscope: Microscope,
    power: Curve,
    grid: Sequence[Condition] = (),
) -> Profiles:
    """Return the package's profiles; `grid` are all conditions that are compared with them."""
    return profiles(conditions, microscope, SAMPLES, power, grid=grid)


def numbers(values: Mapping[str, np.ndarray]) -> Vectors:
    """Return numbers of conditions, (condition,), as vectors."""
    return {name: np.asarray(value, float)[:, None] for name, value in values.items()}


def as_profiles(base: Profiles, vectors: Vectors, dose: bool = True) -> Profiles:
    """Return profiles whose parameters are vectors, as :func:`kernel` reads them.

    Args:
        base: The profiles of the same conditions.
        dose: Whether the process has a linear effect of the dose.
    """
    log_dose = base.log_dose if dose else np.zeros_like(base.log_dose)
    return replace(base, parameters=dict(vectors), log_dose=log_dose)


def between(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the squared distances of vectors (a, size) and (b, size), each (a, b)."""
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    square[square < 1e-12 * (1 + square.max(initial=0))] = 0  # rounding
    return square


def _squared(a: Profiles, b: Profiles) -> np.ndarray:
    return np.stack([between(a.parameters[name], b.parameters[name]) for name in a.parameters])


def kernel(
    known: Profiles, medians: Mapping[str, float] | None = None, package: Kernel | None = None
) -> Kernel:
    """Return the distances of a line with the priors of all lines.

    The median length of a distance is √½ of its root mean square over pairs of the known training
    conditions: the standard deviation, for a number.

    Args:
        known: The known training conditions.
        medians: Medians of distances that the known conditions do not have.
        package: Has the distances, where they are not those of the vectors.
    """
    names = package.names if package else tuple(known.parameters)
    squared = package.squared if package else _squared
    lengths = np.sqrt(squared(known, known).mean((1, 2)) / 2)
    given = dict(zip(names, lengths.tolist(), strict=True)) | dict(medians or {})
    return Kernel(names, tuple(given[name] for name in names), squared)


def predicted(
    Y: np.ndarray, known: tuple[Profiles, Profiles], new: Profiles, of: Kernel
) -> np.ndarray:
    """Return the Dice of further networks of the known training conditions under new tests.

    Args:
        Y: (train, test), the known Dice.
        known: The training conditions and the tests of `Y`.
    """
    return gaussian_process.fit(Y, *known, kernel=of).predict(known[0], new)[0]
