"""Power spectral densities of specimens: the weights of information metrics.

The density P(q) of a specimen is the mean over structures of the power of the waves' linear phase
contrast. Conditions with different exit waves, see :mod:`passband.wave_sets`, have different
densities: that of a beam energy, of a substrate, of a temperature. The integrals of a condition end
at the band limit of its pixels, because its images do not have higher frequencies.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from passband.errors import PassbandError
from passband.grid import Condition
from passband.storage import json_text
from passband.wave_sets import wave_set

if TYPE_CHECKING:
    from passband.config import Microscope
    from passband.imaging.structures import Structures

#: Attribute of a published table of results: the spectra of specimens, as JSON.
SPECTRUM = "spectrum"
#: Power spectral density of the weight `flat` [Å²]: close to the mean density for 2 nm of gold on
#: 1 nm of carbon. It matters to metrics that depend on the dose.
FLAT_POWER_A2 = 0.005
#: Frequencies [1/Å] and the power spectral densities at these frequencies [Å²].
Curve = tuple[np.ndarray, np.ndarray]
#: One curve for all conditions, or the curve of each set of exit waves by the id of the set.
Spectrum = Curve | Mapping[str, Curve]


def flat_spectrum(power: float = FLAT_POWER_A2) -> Curve:
    """Return a spectrum (q, P) with the same power spectral density [Å²] at all frequencies."""
    return np.array([0.0]), np.array([power])


def mean_spectrum(structures: "Iterable[Structures]") -> Spectrum:
    """Return a specimen's mean spectrum over structures, from their files of exit waves.

    Args:
        structures: Structures of one split or several, with different sets of exit waves. If the
            only set is that of the study's own values, the result is one curve.

    Raises:
        StoreError: If a file is missing or damaged, or has other structures.
    """
    found = {}
    for of_split in structures:
        for id, of_set in of_split.sets.items():
            mean = of_set.mean_power()
            found[id] = mean.q.values, of_set.microscope.sampling.density(mean.values)
    return found[""] if list(found) == [""] else found


def to_json(spectrum: Spectrum) -> list | dict:
    """Return a spectrum in the form that attributes and files of JSON have."""
    if isinstance(spectrum, Mapping):
        return {id: to_json(curve) for id, curve in spectrum.items()}
    return [values.tolist() for values in spectrum]


def from_json(content: list | dict) -> Spectrum:
    """Return the spectrum that :func:`to_json` has written.

    Raises:
        ValueError, TypeError: If the content is no spectrum: a curve has two lists of as many
            finite numbers, with increasing frequencies and no negative density.
    """
    if isinstance(content, dict):
        return {id: from_json(curve) for id, curve in content.items()}
    q, power = (np.array(values, dtype=float) for values in content)
    if not (q.ndim == 1 and q.shape == power.shape and q.size and np.isfinite([q, power]).all()):
        raise ValueError("a spectrum must have as many finite densities as frequencies")
    if (np.diff(q) <= 0).any() or (power < 0).any():
        raise ValueError("a spectrum must have increasing frequencies and no negative density")
    return q, power


def stored_spectra(attrs: Mapping[str, object], source: str) -> dict[str, Spectrum]:
    """Return the spectra in the attributes of a table, by the name of the specimen.

    Args:
        source: What the user calls the table, for the error's message.

    Raises:
        PassbandError: If the attribute is damaged.
    """
    try:
        content = dict(json_text.parse(attrs.get(SPECTRUM, "{}")))
        return {name: from_json(each) for name, each in content.items()}
    except (ValueError, TypeError) as error:
        words = " ".join(str(error).split())
        raise PassbandError(
            f"{source}: its attribute {SPECTRUM} is damaged: {words}; delete it, and run the study "
            "again"
        ) from None


def own_curve(spectrum: Spectrum) -> Curve:
    """Return the curve with the study's own values, or the first one if there is no such curve."""
    if isinstance(spectrum, Mapping):
        return spectrum[""] if "" in spectrum else next(iter(spectrum.values()))
    return spectrum


def power_under(
    spectrum: Spectrum, condition: Condition, microscope: "Microscope", q: np.ndarray
) -> np.ndarray:
    """Return the power spectral density under a condition at frequencies [1/Å].

    The density is interpolated linearly, is constant beyond both ends of the curve, and is 0 beyond
    the band limit of the condition's pixels.

    Raises:
        PassbandError: If the spectrum has no curve for the condition's exit waves.
    """
    if isinstance(spectrum, Mapping):
        if (id := wave_set(condition)) not in spectrum:
            raise PassbandError(f"{condition.id}: the study has no exit waves of this condition")
        spectrum = spectrum[id]
    return np.where(q <= cutoff(condition, microscope), np.interp(q, *spectrum), 0.0)


def cutoff(condition: Condition, microscope: "Microscope") -> float:
    """Return the highest spatial frequency of the images of a condition [1/Å]."""
    return microscope.under(condition).sampling.cutoff


def weights_under(
    spectra: Mapping[str, Spectrum],
    conditions: Mapping[str, Condition],
    microscope: "Microscope",
    q: np.ndarray,
    edges: Sequence[float],
) -> dict[str, dict[str, np.ndarray]]:
    """Return the power spectral density of each weight, for each of some conditions.

    Args:
        spectra: The spectrum of each weight of spatial frequencies.
        conditions: A condition of each set of exit waves, by the id of the set.
        q: (frequencies,), frequencies [1/Å].
        edges: Frequencies [1/Å] that divide each spectrum except the flat one into bands. Each band
            is one more weight. A band without power under one of the conditions is left out.

    Returns:
        The densities by the name of the weight, for each id of `conditions`, (frequencies,). All
        have the same weights in the same order.
    """
    found = {}
    for id, condition in conditions.items():
        found[id] = {}
        for name, spectrum in spectra.items():
            power = power_under(spectrum, condition, microscope, q)
            found[id][name] = power
            if edges and name != "flat":
                found[id] |= _divided(name, q, power, edges)
    return {
        id: {
            name: power for name, power in of_set.items() if all(name in x for x in found.values())
        }
        for id, of_set in found.items()
    }


def _divided(
    name: str, q: np.ndarray, power: np.ndarray, edges: Sequence[float]
) -> dict[str, np.ndarray]:
    """Return a spectrum that is 0 outside the band, for each band of a spectrum, by its name."""
    bands = {}
    for low, high in pairwise([0.0, *edges, np.inf]):
        inside = np.where((low <= q) & (q < high), power, 0.0)
        if inside.any():
            bands[f"{name}/{low:g}-{'' if high == np.inf else f'{high:g}'}"] = inside
    return bands
