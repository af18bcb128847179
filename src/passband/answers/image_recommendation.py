"""Recommends networks for an image: its condition is measured, and networks are ranked for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passband.answers.recommendation import asked_of, recommend_from
from passband.answers.tested_networks import TestedNetworks
from passband.axes import AXES, FURTHER_AXES, MAIN_AXES
from passband.config import Study
from passband.console import escaped
from passband.errors import PassbandError
from passband.grid import Condition
from passband.micrographs.images.pixel_size import TOLERANCE
from passband.micrographs.images.readers import recorded
from passband.micrographs.rings import lens as lenses
from passband.micrographs.rings.lens import SIGNS, Known, Lens
from passband.network_id import NetworkId
from passband.optics import ctf
from passband.outcomes import Outcome
from passband.prediction.range_of_use import Asked
from passband.prediction.recommend.network_ranking import Recommendation
from passband.units import A_PER_NM, A_PER_UM, EV_PER_KEV
from passband.wave_sets import WaveSet
from passband.words import listed

#: An interval of the defocus that is wider than this becomes a range of the asked condition [nm].
_NARROW_NM = 0.5


@dataclass(frozen=True)
class Like:
    """The recommendation for one sign of an image's defocus.

    Attributes:
        sign: 1 for underfocus, −1 for overfocus.
        found: The ranked networks.
    """

    sign: int
    likelihood: float
    found: Recommendation

    @property
    def words(self) -> str:
        """The sign and its likelihood."""
        return f"{SIGNS[self.sign]}, likelihood {self.likelihood:.2f}"


@dataclass(frozen=True)
class ImageRecommendation(Outcome):
    """The recommendations for an image whose condition was measured.

    Attributes:
        lens: What was measured.
        by_sign: The recommendation for each possible sign of the defocus.
    """

    lens: Lens
    by_sign: tuple[Like, ...]

    def __str__(self) -> str:
        measured = "\n".join(map(escaped, self.lens.lines()))
        return "\n\n".join([measured, *(f"{each.words}\n\n{each.found}" for each in self.by_sign)])

    def values(self) -> dict[str, Any]:
        """Return the content for JSON."""
        return {
            "measured": self.lens.values(),
            "recommendations": [
                {"sign": SIGNS[each.sign], "likelihood": each.likelihood} | each.found.values()
                for each in self.by_sign
            ],
        }


def measure(path: Path, pixel_size_A: float | None, known: Known, study: Study) -> Lens:
    """Return the lens of the first image of a file, with the study's beam energy.

    Args:
        pixel_size_A: The pixel size, if the file does not have one [Å].
        known: What the user knows. If neither the user nor the file knows the beam energy, it is
            the study's own, or the only one of its tests.

    Raises:
        PassbandError: If the file cannot be used, if its beam energy is none of the study's, or if
            its pixels are too large for all networks of the study.
    """
    if known.energy_keV is not None and _nearest(study, known.energy_keV) is None:
        known.check()
        raise PassbandError(
            f"--energy-kev = {known.energy_keV:g}: the networks of the study "
            f"{study.study.name} are for {_energies_words(study)}"
        )
    usual = _nearest(study, study.microscope.energy_eV / EV_PER_KEV)
    if usual is None and len(energies := _energies(study)) == 1:
        usual = energies[0]
    (found,) = lenses.measure([path], pixel_size_A, known, 1, usual)
    check_pixel(found, study)
    return found


def check_pixel(lens: Lens, study: Study) -> None:
    """Raise PassbandError if no network of the study can be made for the image's pixel.

    The image must have the frequencies that the aperture of some training condition passes, and a
    beam energy of the study's tests.
    """
    _energy_of(lens.path, lens.settings.energy_eV / EV_PER_KEV, study)

    def passed(condition: Condition) -> float:
        """Return the highest frequency that the aperture of a condition passes [1/Å]."""
        energy = condition.value("energy_kev") * EV_PER_KEV
        return condition.aperture_mrad * 1e-3 / ctf.wavelength(energy)

    narrowest = min(study.train_conditions, key=passed)
    needed = passed(narrowest)
    nyquist = 1 / (2 * lens.pixel_size_A)
    if nyquist < needed:
        raise PassbandError(
            f"{lens.path}: pixels of {lens.pixel_size_A:g} Å have frequencies up to "
            f"{nyquist:.3g} 1/Å; every network of the study {study.study.name} needs "
            f"{needed:.3g} 1/Å or more, for apertures from {narrowest.aperture_mrad:g} mrad"
        )


def _energies(study: Study) -> list[float]:
    """Return the beam energies of the study's test images [keV]."""
    own = study.axes.own_value("energy_kev")
    sets = (dict(WaveSet.parse(id).further) for id in study.test_waves)
    return sorted({values.get("energy_kev", own) for values in sets})


def _energies_words(study: Study) -> str:
    return f"{listed([f'{energy:g}' for energy in _energies(study)])} keV"


def _energy_of(path: Path, stated: float, study: Study) -> float:
    """Return the beam energy of the study that a file states [keV]."""
    if (energy := _nearest(study, stated)) is None:
        raise PassbandError(
            f"{path}: states {stated:g} keV, and the networks of the study "
            f"{study.study.name} are for {_energies_words(study)}"
        )
    return energy


def _nearest(study: Study, energy: float) -> float | None:
    """Return the beam energy of the study that equals an energy within the tolerance, or None."""
    nearest = min(_energies(study), key=lambda each: abs(each - energy))
    return nearest if abs(nearest - energy) <= TOLERANCE * nearest else None


def asked(
    study: Study, lens: Lens, given: Mapping[str, str | float | None]
) -> list[tuple[int, Asked]]:
    """Return the asked condition for each possible sign of an image's defocus.

    Args:
        lens: The measured lens.
        given: What the user gives for aperture and dose; None is taken from the file. What the user
            gives for further axes; None is the study's own value. The measured astigmatism is not
            used. The beam energy is the image's.

    Raises:
        PassbandError: If the image has no rings, or if aperture or dose are neither given nor in
            the file.
    """
    if not lens.signs:
        raise PassbandError(f"{lens.name}: {lenses.NO_RINGS}; give it to recommend, without --like")
    values = {name: given.get(name) for name in ("aperture_mrad", "dose_e_per_A2")}
    missing = []
    for name in values:
        if values[name] is None:
            stated = getattr(lens.stated, name)
            values[name] = None if stated is None else f"{stated:.10g}"
            missing += [AXES[name].option] if stated is None else []
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise PassbandError(
            f"{' and '.join(missing)} {verb} missing: {lens.path} does not state "
            f"{'it' if len(missing) == 1 else 'them'}"
        )
    further = {name: given.get(name) for name in FURTHER_AXES}
    further["energy_kev"] = _nearest(study, lens.settings.energy_eV / EV_PER_KEV)
    cs = MAIN_AXES["cs_um"].canonical(lens.measurement.cs_A / A_PER_UM)
    conditions = []
    for sign in lens.signs:
        value, low, high = (
            MAIN_AXES["defocus_nm"].canonical(x / A_PER_NM)
            for x in lens.measurement.defocus_A(sign)
        )
        text = f"{value}" if high - low < _NARROW_NM else f"{low}:{high}"
        known = {"defocus_nm": text, "cs_um": f"{cs}", **values, **further}
        conditions.append((sign, asked_of(study, known)))
    return conditions


def recommend(
    tested: TestedNetworks, lens: Lens, given: Mapping[str, str | float | None]
) -> list[Like]:
    """Return the ranked networks for each possible sign of the defocus, see :func:`asked`."""
    return [
        Like(sign, lens.measurement.likelihoods[sign], recommend_from(tested, condition))
        for sign, condition in asked(tested.study, lens, given)
    ]


def of_store(
    tested: TestedNetworks, path: Path, given: Mapping[str, str | float | None]
) -> list[Like]:
    """Return the ranked networks for the condition that a store of a study's images states.

    What the user gives replaces what the store states. The result is empty for other files, whose
    condition is measured.
    """
    stated, study = recorded(path), tested.study
    if stated.condition is None:
        return []
    values = stated.condition.values() | {n: text for n, text in given.items() if text is not None}
    if stated.energy_keV is not None:
        values["energy_kev"] = _energy_of(path, stated.energy_keV, study)
    found = recommend_from(tested, asked_of(study, values))
    return [Like(1 if found.asked.low.defocus_nm >= 0 else -1, 1.0, found)]


def best(found: Sequence[Like]) -> tuple[NetworkId, float]:
    """Return the first network in the ranking, and its expected Dice.

    If the sign of the defocus is not determined, expected Dice is the mean over both signs,
    weighted with their likelihoods.

    Raises:
        PassbandError: If no network of the study has learned.
    """
    if not any(each.found.networks for each in found):
        raise PassbandError("no network of the study has learned, so none is recommended")
    by_sign = [
        {network.id: network.dice.value for network in each.found.networks} for each in found
    ]
    ids = sorted(by_sign[0], key=str)  # all rankings have the same networks
    numbers = [[dice[id] for id in ids] for dice in by_sign]
    means = np.average(numbers, axis=0, weights=[each.likelihood for each in found])
    first = means.argmax()
    return ids[first], float(means[first])
