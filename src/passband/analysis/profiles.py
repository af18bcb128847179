"""Profiles of conditions: the transfer T(q), the information bits(q), and the dose's logarithm.

An information metric compares two conditions by one number. A profile keeps the whole curves, from
which :mod:`passband.prediction.gaussian_process` computes distances between conditions. The
definitions of T, of the spectral signal-to-noise ratio s and of the integrals over spatial
frequencies are those of :mod:`passband.analysis.information`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from passband.analysis.information import View
from passband.analysis.spectra import (
    Spectrum,
    cutoff,
    flat_spectrum,
    mean_spectrum,
    own_curve,
    power_under,
)
from passband.grid import Condition, ordered
from passband.optics import ctf
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    import xarray as xr

    from passband.config import Microscope

#: Number of radial frequencies of a profile. Distances between profiles with this number of
#: frequencies differ from those with 2,048 frequencies by less than 2%.
SAMPLES = 256
#: Number of draws of the jitter, for a microscope with jitter.
DRAWS = 32


def profiles_of_specimens(
    specimens: Sequence[str],
    conditions: Iterable[Condition],
    microscope: "Microscope",
    waves: Mapping[str, Sequence[str]],
    seed: int,
    flat_power: float,
    draws: int,
) -> "dict[str, xr.Dataset]":
    """Return the profiles of conditions, see :func:`profiles`, for each specimen.

    Args:
        conditions: One that occurs several times has one profile.
        waves: Files with the exit waves of each specimen, see
            :func:`passband.analysis.spectra.mean_spectrum`. The spectrum of a specimen without
            files is flat.
        seed: Study seed, which the files must have.
        flat_power: Power spectral density of the flat spectrum [Å²].
        draws: Number of draws of the jitter.
    """
    every, result = ordered(set(conditions)), {}
    for specimen in specimens:
        curve = flat_spectrum(flat_power)
        if files := waves.get(specimen):
            curve = mean_spectrum(microscope, files, specimen, seed)
        result[specimen] = profiles(every, microscope, SAMPLES, curve, seed, draws)
    return result


def profiles(
    conditions: Sequence[Condition],
    microscope: "Microscope",
    samples: int,
    spectrum: Spectrum,
    seed: int = 0,
    draws: int = DRAWS,
    grid: Sequence[Condition] = (),
) -> "xr.Dataset":
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

    Returns:
        Over (condition, frequency): `T`, the linear transfer [1], and `bits`, ½log₂(1 + s) [bits].
        Over (condition,): `log_dose`, the decimal logarithm of the dose in e/Å². The coordinates
        are the ids of the conditions and their imaging parameters, `frequency` |q| [1/Å], `azimuth`
        φ [rad], `area` d²q [1/Å²] and `power` P [Å²], all float64. `power` is that of the study's
        own values, or of the first set of exit waves.
    """
    import xarray as xr

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
        bits += View(drawn, np.array(doses) * nominal, powers, area).bits / len(normals)
    ids = [condition.id for condition in conditions]
    return xr.Dataset(
        {
            "T": (("condition", "frequency"), T, {"units": "1"}),
            "bits": (("condition", "frequency"), bits, {"units": "bits"}),
            "log_dose": ("condition", np.log10(nominal), {"long_name": "log10 of dose in e/Å²"}),
        },
        coords={
            "condition": ids,
            **(grid or conditions)[0].axes.coordinates(ids, "condition"),
            "frequency": ("frequency", q, {"units": "1/Å"}),
            "azimuth": ("frequency", np.broadcast_to(phi, q.shape), {"units": "rad"}),
            "area": ("frequency", area, {"units": "1/Å²"}),
            "power": ("frequency", power, {"units": "Å²"}),
        },
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
