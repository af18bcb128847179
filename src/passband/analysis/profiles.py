"""Profiles of conditions: the transfer T(q), the information bits(q), and the dose's logarithm.

An information metric compares two conditions by one number. A profile keeps the whole curves, from
which :mod:`passband.prediction.gaussian_process` computes distances between conditions. The
definitions of T, of the spectral signal-to-noise ratio s and of the integrals over spatial
frequencies are those of :mod:`passband.analysis.views`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from passband.analysis.information import DRAWS
from passband.analysis.spectra import (
    Spectrum,
    cutoff,
    flat_spectrum,
    mean_spectrum,
    own_curve,
    power_under,
)
from passband.analysis.views import View
from passband.grid import Condition, is_condition, ordered
from passband.optics import ctf
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    from passband.config import Microscope
    from passband.imaging.structures import Structures

#: Number of radial frequencies of a profile. Distances between profiles with this number of
#: frequencies differ from those with 2,048 frequencies by less than 2%.
SAMPLES = 256


@dataclass(frozen=True, eq=False)
class Profiles:
    """The profiles of conditions, which all have the same frequencies.

    A mixture of conditions has no profile. If its id is among `ids`, its numbers are NaN.

    Attributes:
        ids: (condition,) of str. An id may occur several times.
        parameters: For each axis of the study, the conditions' values (condition,), in the axis's
            unit.
        T: (condition, frequency), linear transfer [1].
        bits: (condition, frequency), ½log₂(1 + s) [bits].
        log_dose: (condition,), decimal logarithm of the dose in e/Å².
        frequency: (frequency,), |q| [1/Å].
        azimuth: (frequency,), φ [rad].
        area: (frequency,), d²q [1/Å²].
        power: (frequency,), the specimen's power spectral density P [Å²]: that of the study's own
            values, or of the first set of exit waves.
    """

    ids: np.ndarray
    parameters: Mapping[str, np.ndarray]
    T: np.ndarray
    bits: np.ndarray
    log_dose: np.ndarray
    frequency: np.ndarray
    azimuth: np.ndarray
    area: np.ndarray
    power: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, places: np.ndarray | Sequence[int] | slice) -> "Profiles":
        """Return the profiles of conditions that are given by indices, a mask or a slice."""
        return replace(
            self,
            ids=self.ids[places],
            parameters={name: values[places] for name, values in self.parameters.items()},
            T=self.T[places],
            bits=self.bits[places],
            log_dose=self.log_dose[places],
        )

    def of(self, ids: Iterable[str]) -> "Profiles":
        """Return the profiles of ids, in their order; NaN for a mixture.

        Raises:
            KeyError: If a condition has no profile here.
        """
        ids = [str(id) for id in ids]
        place = {id: k for k, id in enumerate(self.ids.tolist())}
        places = np.array([place[id] if is_condition(id) else -1 for id in ids], dtype=int)
        found = self[places]
        is_mixture = places < 0
        if not is_mixture.any():
            return found

        def known(values: np.ndarray) -> np.ndarray:
            lacking = is_mixture.reshape(-1, *[1] * (values.ndim - 1))
            return np.where(lacking, np.nan, values)

        return replace(
            found,
            ids=np.array(ids),
            parameters={name: known(values) for name, values in found.parameters.items()},
            T=known(found.T),
            bits=known(found.bits),
            log_dose=known(found.log_dose),
        )


def profiles_of_specimens(
    specimens: Sequence[str],
    conditions: Iterable[Condition],
    microscope: "Microscope",
    structures: "Mapping[str, Sequence[Structures]]",
    seed: int,
) -> dict[str, Profiles]:
    """Return the profiles of conditions, see :func:`profiles`, for each specimen.

    Args:
        conditions: One that occurs several times has one profile.
        structures: Those of each specimen, see :func:`passband.analysis.spectra.mean_spectrum`.
            The spectrum of a specimen without structures is flat.
        seed: Study seed.
    """
    every, result = ordered(set(conditions)), {}
    for specimen in specimens:
        curve = flat_spectrum()
        if of_specimen := structures.get(specimen):
            curve = mean_spectrum(of_specimen)
        result[specimen] = profiles(every, microscope, SAMPLES, spectrum=curve, seed=seed)
    return result


def profiles(
    conditions: Sequence[Condition],
    microscope: "Microscope",
    samples: int,
    spectrum: Spectrum,
    seed: int = 0,
    draws: int = DRAWS,
    grid: Sequence[Condition] = (),
) -> Profiles:
    """Return the profile of each condition.

    Profiles of the same microscope, number of samples, spectrum and seed have the same frequencies,
    whatever their conditions are. So they can be compared with each other. If the microscope has
    jitter, T and bits are means over draws of the lens and the dose of an image. All conditions
    have the same draws.

    Args:
        conditions: The conditions. A condition may occur several times.
        samples: Number of radial frequencies between 0 and the band limit, at the midpoints of
            intervals; :data:`SAMPLES` is enough. For a lens that is not round, each radial
            frequency has several azimuths.
        spectrum: Frequencies [1/Å] and the specimen's power spectral density at these frequencies
            [Å²], for all conditions or for each set of exit waves. See
            :func:`passband.analysis.spectra.power_under`.
        seed: Study seed, for the draws of the jitter.
        draws: Number of draws of the jitter, for a microscope with jitter.
        grid: The conditions of the study, whose further axes determine the number of azimuths and
            the highest frequency. By default, `conditions`.
    """
    jitter = microscope.jitter
    normals = jitter.normals(draws, seed, "profiles")
    optics = [microscope.optics(condition) for condition in conditions]
    nominal = np.array([condition.dose_e_per_A2 for condition in conditions])
    lenses = _widest(microscope, normals, grid or conditions)
    sets = {wave_set(condition): condition for condition in grid or conditions}
    limit = max(cutoff(condition, microscope) for condition in sets.values())
    q, phi, area = ctf.plane(lenses, limit, samples)
    powers = power = np.interp(q, *own_curve(spectrum))
    if isinstance(spectrum, Mapping) or len(sets) > 1:
        powers = np.stack([power_under(spectrum, c, microscope, q) for c in conditions])
    blurs = microscope.responses(conditions, q)
    T, bits = np.zeros((2, len(optics), len(q)))
    for z in normals:
        lenses, doses = zip(*(jitter.apply(lens, z) for lens in optics), strict=True)
        keys = [(lens, c.further) for lens, c in zip(lenses, conditions, strict=True)]
        curves = {key: ctf.transfer(key[0], q, phi) * blurs[key[1]] for key in set(keys)}
        drawn = np.stack([curves[key] for key in keys])
        T += drawn / len(normals)
        bits += View(drawn, np.array(doses) * nominal, powers, area, q).bits / len(normals)
    ids = [condition.id for condition in conditions]
    axes = (grid or conditions)[0].axes
    values = [axes.parse(id) for id in ids]
    return Profiles(
        ids=np.array(ids),
        parameters={name: np.array([each.value(name) for each in values]) for name in axes.names},
        T=T,
        bits=bits,
        log_dose=np.log10(nominal),
        frequency=q,
        azimuth=np.broadcast_to(phi, q.shape),
        area=area,
        power=power,
    )


def _widest(
    microscope: "Microscope", normals: np.ndarray, grid: Sequence[Condition]
) -> list[ctf.Optics]:
    """Return lenses with an aperture as wide as the band limit, which need the most azimuths.

    The number of azimuths then depends only on the further axes of the grid's conditions.
    """
    found = []
    for further in {condition.further for condition in grid} or {()}:
        lens = microscope.having(further).lens(aperture_mrad=1e3)
        lens = replace(lens, aperture_edge=0.0)
        found += [microscope.jitter.apply(lens, z)[0] for z in normals]
    return found
