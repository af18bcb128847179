"""What follows from the Dice of three lattices, see fringes.py."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from findings.second_lock import distances, scores
from findings.second_lock.conditions import doses as doses_of
from findings.second_lock.lattices import CERIA, DOSES, GOLD, LATTICES, microscope
from passband.analysis.spectra import Curve
from passband.analysis.views import View
from passband.grid import Condition
from passband.optics import ctf
from passband.prediction import gaussian_process
from passband.prediction.matrix import interaction

#: The claims' limits.
RHO = -0.6
REFUTED_ABOVE = -0.3
NEARER = 0.3
TOO_NEAR = 0.1
MORE_INT = 0.05
FOLDS = 8
#: The lines of the comparison of spectra.
OWN = "A, own spectrum"
OTHER = "A, spectrum of gold"
#: The 97.5th percentile of the standard normal distribution, as in the protocol.
Z95 = 1.96


@dataclass(frozen=True)
class Measured:
    """What the networks of a lattice did.

    Attributes:
        dice: (condition, replica, test), Dice, mean over structures.
        home: (condition, replica), the same under the networks' own conditions.
        power: The lattice's spectrum: frequencies [1/Å] and densities [Å²].
    """

    conditions: Sequence[Condition]
    tests: Sequence[Condition]
    dice: np.ndarray
    home: np.ndarray
    power: Curve

    @property
    def doses(self) -> tuple[np.ndarray, np.ndarray]:
        """The doses of the networks and of the tests [e/Å²]."""
        return doses_of(self.conditions), doses_of(self.tests)


# ── Lattices ─────────────────────────────────────────────────────────────────────────────────────


def information(
    conditions: Sequence[Condition], band: tuple[float, float], power: Curve, samples: int = 256
) -> np.ndarray:
    """Return ∫ ½log₂(1 + s) 2πq dq over a band for each condition [bits/Å²]."""
    low, high = band
    step = (high - low) / samples
    q = low + (np.arange(samples) + 0.5) * step
    lenses = [microscope().optics(each) for each in conditions]
    T = np.stack([ctf.transfer(lens, q, np.zeros_like(q)) for lens in lenses])
    view = View(T, doses_of(conditions), np.interp(q, *power), 2 * np.pi * q * step, q)
    return view.bits @ view.area


def partial(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> dict[str, float]:
    """Return Spearman's partial correlation and its interval by Fisher's z."""
    left = []
    of_given = rankdata(given) - (len(given) + 1) / 2
    for values in (x, y):
        ranks = rankdata(values) - (len(values) + 1) / 2
        left.append(ranks - of_given * (ranks @ of_given) / (of_given @ of_given))
    rho = float(np.corrcoef(*left)[0, 1])
    half = Z95 / np.sqrt(len(given) - 4)
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return {"rho": rho, "low": float(low), "high": float(high)}


def of_lattice(measured: Measured) -> dict[str, Any]:
    """Return ρ at the place of each lattice's fringe, by that of which lattice and which tests."""
    doses, of_tests = measured.doses
    D = measured.dice.mean(1)
    found: dict[str, Any] = {"home": float(np.median(measured.home.mean(1)))}
    for place in LATTICES:
        of_band = information(measured.conditions, place.band, measured.power)
        found[place.name] = partial(of_band, D.mean(1), doses)
        found[place.name]["by dose"] = {
            f"{dose}": partial(of_band, D[:, of_tests == dose].mean(1), doses)["rho"]
            for dose in DOSES
        }
    return found


def own_spectrum(
    measured: Measured, other: Curve, random: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Return R² and INT of left-out rows by A with the own spectrum and with another, and more.

    Args:
        other: The spectrum of another specimen.
        random: Draws the folds of the rows.
    """
    Y = measured.dice.mean(1)
    doses = measured.doses
    folds = np.array_split(random.permutation(len(Y)), FOLDS)
    lines = {
        OWN: left_out(measured, Y, folds, measured.power),
        OTHER: left_out(measured, Y, folds, other),
        "mean of the known": _filled(Y, folds, lambda known: known.mean()),
        "mean of each test": _filled(Y, folds, lambda known: known.mean(0)),
    }
    found = {name: scores.of_line(measured.dice, D, doses) for name, D in lines.items()}
    errors = [Y - lines[name] for name in (OWN, OTHER)]
    own, gold = (interaction.components(each, doses)["interaction"] for each in errors)
    whole = interaction.components(Y, doses)["interaction"]
    found["difference"] = scores.mean((gold**2 - own**2) / (whole**2).mean()).values()
    return found


def left_out(
    measured: Measured, Y: np.ndarray, folds: Sequence[np.ndarray], power: Curve
) -> np.ndarray:
    """Return the Dice of the rows of each fold, predicted by A from the others."""
    sides = []
    for conditions in (measured.conditions, measured.tests):
        base = distances.profiles_of(conditions, microscope(), power)
        of_lens = distances.lens(conditions, microscope(), power)
        doses = distances.numbers({"log_dose": np.log10(doses_of(conditions))})
        vectors = {"c": of_lens["c"], "bits": of_lens["bits"], **doses}
        sides.append(distances.as_profiles(base, vectors))
    train, test = sides
    found = np.empty_like(Y)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(Y)), fold)
        known = train[rest]
        model = gaussian_process.fit(Y[rest], known, test, kernel=distances.kernel(known))
        found[fold] = model.predict(train[fold], None)[0]
    return found


def _filled(
    Y: np.ndarray, folds: Sequence[np.ndarray], simple: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    found = np.empty_like(Y)
    for fold in folds:
        found[fold] = simple(np.delete(Y, fold, axis=0))
    return found


# ── Claims ───────────────────────────────────────────────────────────────────────────────────────


def result(measured: Mapping[str, Measured], random: np.random.Generator) -> dict[str, Any]:
    """Return all numbers and the claims; those of CeO₂ are open without it.

    Args:
        measured: What the networks did, by lattice.
        random: Draws the folds of CeO₂'s conditions.
    """
    of = {name: of_lattice(each) for name, each in measured.items()}
    found: dict[str, Any] = {"lattices": of}
    own = [of[name][name] for name in of]
    claims = {
        "information at the own fringe lowers Dice abroad": scores.claim(
            all(each["rho"] <= RHO for each in own),
            any(each["high"] > REFUTED_ABOVE for each in own),
        )
    }
    if CERIA.name in measured:
        of_ceria = of[CERIA.name]
        nearer = abs(of_ceria[CERIA.name]["rho"]) - abs(of_ceria[GOLD.name]["rho"])
        claims["it is the own fringe"] = scores.claim(
            nearer >= NEARER, nearer < TOO_NEAR, nearer=nearer
        )
        lines = own_spectrum(measured[CERIA.name], measured[GOLD.name].power, random)
        more = lines[OWN]["interaction"] - lines[OTHER]["interaction"]
        claims["the own spectrum is the weight"] = scores.claim(
            more >= MORE_INT, more <= 0, more=more
        )
        found["spectra"] = lines
    return found | {"claims": claims}
