"""How well scores of particles are predicted, as the section *Particles and sizes* says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from findings.second_lock.scores import claim
from findings.twelve_thousand.locked_scores import r2
from passband import particle_scores
from passband.prediction.matrix import interaction

#: The distance of diameters that becomes ½ [nm].
HALF_NM = 0.2


@dataclass(frozen=True)
class Score:
    """A score of the particles that a network finds under a test.

    Attributes:
        of: Returns the score (condition, replica, test) of what was found, see
            :func:`findings.second_lock.fields.results`. It is NaN where there is none.
        share: Turns the score into a number from 0 to 1, which the process can predict.
        back: Turns this number into the score again.
    """

    words: str
    of: Callable[[xr.Dataset], np.ndarray]
    share: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


def _mean(name: str, offset: float = 0.0) -> Callable[[xr.Dataset], np.ndarray]:
    """Return a function that returns a score of the package, as a mean over fields."""
    score = particle_scores.SCORES[name]
    return lambda found: score(found.particles.values).mean(-1) + offset


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _relative(half: float) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what makes a number x above 0 the share x/(x + half), whose logit is log(x/half)."""

    def back(share: np.ndarray) -> np.ndarray:
        # The process never returns 1.
        return half * share / np.maximum(1 - share, 1e-6)

    return {"share": lambda x: x / (x + half), "back": back}


F1 = "f1"
NUMBER = "number"
DIAMETER = "diameter"
APART = "apart"
SCORES = {
    F1: Score("F1", _mean("instance_f1"), _same, _same),
    NUMBER: Score("found for each true one", _mean("count_error", 1.0), **_relative(1.0)),
    DIAMETER: Score("mean diameter, relative", _mean("diameter_bias", 1.0), **_relative(1.0)),
    APART: Score(
        "distance of diameters [nm]", lambda found: found.apart.values, **_relative(HALF_NM)
    ),
}


def by_replica(found: xr.Dataset) -> dict[str, np.ndarray]:
    """Return each of :data:`SCORES`, (condition, replica, test)."""
    return {name: score.of(found) for name, score in SCORES.items()}


def mean(replicas: np.ndarray) -> np.ndarray:
    """Return the mean over the replicas that have a score, NaN without any, (condition, test)."""
    there = np.isfinite(replicas)
    number = there.sum(1)
    sums = np.where(there, replicas, 0).sum(1)
    return np.where(number > 0, sums / np.maximum(number, 1), np.nan)


def of_line(
    true: np.ndarray, predicted: np.ndarray, doses: interaction.Doses, replicas: np.ndarray
) -> dict[str, float | int]:
    """Return how well a line predicts a score.

    Cells without a score are not judged. INT needs all cells.

    Args:
        true, predicted: (condition, test).
        replicas: (condition, replica, test).
    """
    there = np.isfinite(true)
    wrong = np.abs(true - predicted)[there]
    found = {"error": float(wrong.mean()), "unjudged": int((~there).sum())}
    if there.all():
        scores = interaction.scores(true, predicted, doses, replicas)
        return found | {name: scores[name] for name in ("r2", "interaction", "ceiling")}
    of = r2(true[there][None], predicted[there][None])
    return found | {"r2": float(of), "interaction": np.nan, "ceiling": np.nan}


# ── Claims ───────────────────────────────────────────────────────────────────────────────────────

#: R² and INT of F1, and the mean error of the relative mean diameter.
LEAST_R2 = 0.9
LEAST_INTERACTION = 0.75
MOST_ERROR = 0.03
#: Below this R² of F1, the claim is refuted.
REFUTED_R2 = 0.7


def verdict(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return the verdict of *scores of particles follow the lens*.

    Args:
        scores: Those of :func:`of_line` by score and line.
    """
    f1 = scores[F1]["A"]
    raw = scores[F1]["raw"]
    is_good = f1["r2"] >= LEAST_R2 and f1["interaction"] >= LEAST_INTERACTION
    holds = is_good and scores[DIAMETER]["A"]["error"] <= MOST_ERROR
    refuted = f1["r2"] < REFUTED_R2 or not f1["interaction"] > raw["interaction"]
    return claim(holds, refuted)["verdict"]
